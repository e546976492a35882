"""The fleet as a policy sees it: read-only, with time, chance and beliefs handed in.

A policy must not change what it is shown. `now` is the time of the event being handled; `stream`
gives a policy its own random numbers, decided by the run's seed and the name it asks for.
"""

import random
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fleet.cards import Nodes
from fleet.domain import (
    AdapterId,
    AdapterSpec,
    ArtifactId,
    InstanceId,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    Tier,
)
from fleet.estimates import Estimates
from fleet.holders import Flight, Instance
from fleet.indexes import LoadBuckets
from fleet.pools import Pool
from fleet.state import State
from fleet.streams import Streams


class View:
    """What policies are given with each question."""

    __slots__ = ("_serving", "_state", "_streams", "_taken", "estimates", "nodes")

    def __init__(self, state: State, estimates: Estimates, streams: Streams) -> None:
        self._state = state
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

    # Beliefs that need the picture

    def queue_s(self, node: NodeId) -> float:
        """Seconds until the node's pending loads end, as believed (ServerlessLLM's q)."""
        return max(0.0, float(self.nodes.loading_until[node]) - self._state.now)

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
