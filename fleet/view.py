"""The fleet as a policy sees it: read-only, with time, chance and beliefs handed in.

A policy must not change what it is shown. `now` is the time of the event being handled; `stream`
gives a policy its own random numbers, decided by the run's seed and the name it asks for.
"""

import math
import random
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fleet.cards import Nodes
from fleet.commands import Command
from fleet.domain import (
    AdapterId,
    AdapterSpec,
    ArtifactId,
    CommandId,
    InstanceId,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    RequestId,
    Tier,
)
from fleet.estimates import Estimates
from fleet.holders import Flight, Instance
from fleet.indexes import LoadBuckets
from fleet.lanes import Lane
from fleet.orders import Orders
from fleet.pools import Pool
from fleet.state import State
from fleet.streams import Streams


class View:
    """What policies are given with each question."""

    __slots__ = ("_orders", "_serving", "_state", "_streams", "_taken", "estimates", "nodes")

    def __init__(
        self, state: State, estimates: Estimates, streams: Streams, orders: Orders
    ) -> None:
        self._state = state
        self._orders = orders
        self._serving = state.serving
        self._streams = streams
        self._taken: dict[str, random.Random] = {}
        self.estimates = estimates
        self.nodes: Nodes = state.nodes

    @property
    def now(self) -> float:
        return self._state.now

    def stream(self, name: str) -> random.Random:
        """A random stream of that name; the same object each time."""
        stream = self._taken.get(name)
        if stream is None:
            stream = self._taken[name] = self._streams.named(f"policy/{name}")
        return stream

    # Models

    def models(self) -> Iterable[ModelSpec]:
        return (s.spec for s in self._serving.values() if not s.removed)

    def model(self, model: ModelId) -> ModelSpec:
        return self._serving[model].spec

    def adapter(self, adapter: AdapterId) -> AdapterSpec:
        return self._state.adapters[adapter]

    def known_adapter(self, artifact: ArtifactId) -> AdapterSpec | None:
        """The same, but None for one that was removed while copies of it are still about."""
        return self._state.adapters.get(AdapterId(artifact))

    def ready(self, model: ModelId) -> LoadBuckets:
        """Ready instances: `.least()`, `len()`, iteration from the least loaded."""
        return self._serving[model].ready

    def starting(self, model: ModelId) -> int:
        """Instances planned, loading or waking."""
        return self._serving[model].starting

    def asleep(self, model: ModelId) -> Iterable[Instance]:
        return self._serving[model].asleep.values()

    def queued(self, model: ModelId) -> int:
        return self._serving[model].lanes.waiting

    def oldest_wait_s(self, model: ModelId) -> float:
        """How long the model's oldest waiting request has waited; 0 if none does."""
        lane = self._serving[model].lanes.oldest()
        return 0.0 if lane is None else self._state.now - lane.flights[0].request.arrived_at

    def waiting(self) -> int:
        """Requests that wait for any model."""
        return self._state.waiting

    def rate(self, model: ModelId) -> float:
        """Arrivals per second, exponentially weighted over the last minute."""
        return self._serving[model].rate(self._state.now)

    # Places

    def node(self, node: NodeId) -> NodeSpec:
        return self._state.nodes.specs[node]

    def on_node(self, node: NodeId) -> Iterable[Instance]:
        """Every instance with a shard there, in any phase."""
        return self._state.on_node[node].values()

    def instance(self, instance: InstanceId) -> Instance:
        return self._state.instances[instance]

    def cached(self, artifact: ArtifactId) -> Mapping[NodeId, Tier]:
        """The best tier at which each node holds a copy; others have only the remote store."""
        return self._state.residency.of(artifact)

    def tiers(self, artifact: ArtifactId) -> npt.NDArray[np.int8]:
        """The same as a column: by node, the best tier that holds a copy."""
        return self._state.residency.column(artifact, len(self.nodes))

    def pool(self, node: NodeId, tier: Tier) -> Pool:
        return self._state.pool(node, tier)

    def source(self, artifact: ArtifactId, node: NodeId) -> Place:
        """The nearest copy to load from, seen from a node: its own best tier, else remote."""
        tier = self._state.residency.of(artifact).get(node)
        return Place(None, Tier.REMOTE) if tier is None else Place(node, tier)

    def size(self, artifact: ArtifactId) -> int:
        return self._state.size(artifact)

    # Requests and orders

    def flight(self, request: RequestId) -> Flight | None:
        """A request between its arrival and its end."""
        return self._state.flights.get(request)

    def ordered(self, command: CommandId) -> Command | None:
        """A command that has not been answered yet. Dispatches are not kept."""
        opened = self._orders.open.get(command)
        return None if opened is None else opened.command

    def lanes(self, model: ModelId) -> Iterable[Lane]:
        """Where the model's requests wait, by adapter and tenant, in no order that matters."""
        return iter(self._serving[model].lanes)

    # Beliefs that need the picture

    def ready_at(self, node: NodeId, alone_s: float, begin_at: float | None = None) -> float:
        """When a load that takes `alone_s` alone would be ready there, beside those under way."""
        nodes, now = self.nodes, self._state.now
        begin_at = now if begin_at is None else max(begin_at, now)
        until, loads = float(nodes.loading_until[node]), float(nodes.loads[node])
        return float(self.estimates.estimation.ready_at(alone_s, begin_at, until, loads))

    def ready_column(self, alone_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The same by node, for loads that begin now."""
        nodes = self.nodes
        begin_at = np.full(len(nodes), self._state.now)
        return self.estimates.estimation.ready_at(
            alone_s, begin_at, nodes.loading_until, nodes.loads
        )

    def queue_s(self, node: NodeId) -> float:
        """Seconds until the node's pending loads end, as believed (ServerlessLLM's q)."""
        return max(0.0, float(self.nodes.loading_until[node]) - self._state.now)

    def context_tokens(self, instance: Instance) -> float:
        """Believed tokens whose KV cache the instance's requests hold: prompts, and output so far.

        sum of prompts + (requests * now - sum of their dispatch times) / seconds a token.
        """
        kind = self.node(instance.node).kind
        pace = self.estimates.pace(instance.model.id, kind)
        ran_s = len(instance.running) * self._state.now - instance.dispatched_s
        return instance.prompt_tokens + max(0.0, ran_s) / pace.decode_s_per_token

    def kv_tokens(self, instance: Instance) -> float:
        """Tokens that fit beside the weights in the memory it holds; inf if the model has no KV.

        Every stage holds its part of each token's, so the smallest one counts for all.
        """
        per_token = instance.model.kv_bytes_per_token
        if not per_token:
            return math.inf
        shards = instance.shards
        held = len(shards) * min(shard.gpu_bytes * len(shard.gpus) for shard in shards)
        return max(0.0, held - instance.model.weight_bytes) / per_token

    def tokens_so_far(self, flight: Flight) -> float:
        """Believed tokens of a running request: its duration over the mean time a token takes."""
        instance = flight.instance
        assert instance is not None, "the request runs nowhere"
        kind = self.node(instance.node).kind
        pace = self.estimates.pace(instance.model.id, kind)
        return (self._state.now - flight.dispatched_at) / pace.decode_s_per_token

    def resume_s(self, flight: Flight, node: NodeId) -> float:
        """Believed seconds to recompute a request's KV cache on a node (ServerlessLLM 5.2)."""
        pace = self.estimates.pace(flight.request.model, self.node(node).kind)
        tokens = flight.request.prompt_tokens + self.tokens_so_far(flight)
        return tokens * pace.prefill_s_per_token
