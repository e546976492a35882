"""How short a run's start-ups could have been at the very least, load by load and in all.

A load's bytes from the best place they could have been in. Caches are
infinite and never forget: an artifact that lay on a node at the start, or that any load or
prefetch brought towards it before, is in that node's DRAM; another node's copy can be read over
the network between nodes; else the remote store is read. Nobody shares a link or waits. A load
then takes its phases, as they were drawn in this run, plus the longer of two times: that of the
node's bytes over the links that lead to it, at nominal bandwidths, and that of one card's part over
its PCIe link. No load of the simulator is shorter: a transfer goes no faster than each link on its
path, its phases come first, and the caches of the run held nothing that these do not. A request
that waited for a load has its first token after it, so no earlier than the load's beginning and
this least time. Knows no engine: prefill is not counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fleet import commands as c
from fleet import events as e
from fleet.controller import Setup
from fleet.domain import LinkSpec, ModelSpec, NodeSpec, Place, Shard, Tier
from traces.quantiles import quantiles
from traces.record import Cold, Floats, RunRecord
from traces.summary import Quantiles

#: The phase of a start-up that moves bytes; the others do not depend on where these are.
MOVING_PHASE = "weights"


class StartUps(msgspec.Struct, frozen=True):
    """Seconds: what was, beside the least that it could have been.

    Of cold requests that finished: arrival to first token, and the wait for the least load. Of
    starts and wakes that became ready: command to readiness.
    """

    cold_requests: int
    ttft_s: Quantiles | None
    least_ttft_s: Quantiles | None
    loads: int
    load_s: Quantiles | None
    least_load_s: Quantiles | None


@dataclass(slots=True)
class LeastLoad:
    """A start or wake, from its command on. `phases_s` and `load_s` are known once it is ready."""

    instance: int
    model: int
    started_at: float
    moving_s: float
    phases_s: float = 0.0
    load_s: float | None = None

    @property
    def least_s(self) -> float:
        return self.phases_s + self.moving_s


class CopiesLog:
    """Watches a run from its start; `loads` are by (instance, time of the command)."""

    def __init__(self, setup: Setup) -> None:
        self.loads: dict[tuple[int, float], LeastLoad] = {}
        self._links: dict[int, LinkSpec] = {}
        self._models: dict[int, ModelSpec] = {model.id: model for model in setup.models}
        # The fastest tier that a node could have an artifact in, by artifact and node.
        self._best: dict[int, dict[int, Tier]] = {}
        self._shards: dict[int, tuple[int, tuple[Shard, ...]]] = {}  # by instance, with the model
        self._open: dict[int, LeastLoad] = {}
        for node in setup.nodes:
            self._links[node.id] = node.links
        for artifact, place in setup.resident:
            self._lies(artifact, place)
        self._event_sinks: dict[type, Callable[[Any], None]] = {
            e.NodeJoined: self._on_joined,
            e.ArtifactAdded: self._on_added,
            e.InstanceReady: self._on_ready,
            e.Awake: self._on_ready,
        }
        self._command_sinks: dict[type, Callable[[Any, float], None]] = {
            c.StartInstance: self._on_start,
            c.Wake: self._on_wake,
            c.Sleep: self._on_sleep,
            c.Fetch: self._on_fetch,
        }

    def observe(self, event: e.Event, commands: Sequence[c.Command]) -> None:
        """One event and the commands it caused, in order."""
        sink = self._event_sinks.get(type(event))
        if sink is not None:
            sink(event)
        for command in commands:
            command_sink = self._command_sinks.get(type(command))
            if command_sink is not None:
                command_sink(command, event.at)

    def _lies(self, artifact: int, place: Place) -> None:
        if place.node is not None:
            on = self._best.setdefault(artifact, {})
            on[place.node] = max(on.get(place.node, Tier.REMOTE), place.tier)

    def _on_joined(self, event: e.NodeJoined) -> None:
        node: NodeSpec = event.node
        self._links[node.id] = node.links
        for artifact, tier in event.resident:
            self._lies(artifact, Place(node.id, tier))

    def _on_added(self, event: e.ArtifactAdded) -> None:
        if isinstance(event.artifact, ModelSpec):
            self._models[event.artifact.id] = event.artifact
        for place in event.places:
            self._lies(event.artifact.id, place)

    def _on_fetch(self, command: c.Fetch, at: float) -> None:
        self._lies(command.artifact, command.target)
        if command.target.node is not None:  # an infinite cache would have kept it in DRAM too
            self._lies(command.artifact, Place(command.target.node, Tier.DRAM))

    def _on_start(self, command: c.StartInstance, at: float) -> None:
        self._shards[command.instance] = (command.model, command.shards)
        self._begin(command.id, command.instance, at)

    def _on_wake(self, command: c.Wake, at: float) -> None:
        self._begin(command.id, command.instance, at)

    def _on_sleep(self, command: c.Sleep, at: float) -> None:
        self._touch(*self._shards[command.instance])

    def _begin(self, command: int, instance: int, at: float) -> None:
        model, shards = self._shards[instance]
        moving_s = max(self._node_s(model, node, shards) for node in {s.node for s in shards})
        self._open[command] = LeastLoad(instance, model, at, moving_s)
        self._touch(model, shards)

    def _touch(self, model: int, shards: tuple[Shard, ...]) -> None:
        for shard in shards:
            self._lies(model, Place(shard.node, Tier.DRAM))

    def _node_s(self, model: int, node: int, shards: tuple[Shard, ...]) -> float:
        """Seconds for the parts of a model that go to one node."""
        links = self._links[node]
        part_bytes = self._models[model].weight_bytes / len(shards)
        here = [shard for shard in shards if shard.node == node]
        card_s = part_bytes / min(len(shard.gpus) for shard in here) / links.pcie_bytes_per_s
        b = self._bytes_per_s(self._best.get(model, {}), node, several=len(here) > 1)
        return max(card_s, part_bytes * len(here) / b) if b else card_s

    def _bytes_per_s(self, lying: Mapping[int, Tier], node: int, *, several: bool) -> float | None:
        """Into the node: of its fastest source, or of all together for several parts at once.

        None where the bytes are in its memory.
        """
        links = self._links[node]
        here = lying.get(node, Tier.REMOTE)
        if here >= Tier.DRAM:
            return None
        ways = [links.remote_bytes_per_s]
        if here is Tier.SSD:
            ways.append(links.ssd_bytes_per_s)
        if any(other != node for other in lying):
            ways.append(links.peer_bytes_per_s)
        return sum(ways) if several else max(ways)

    def _on_ready(self, event: e.InstanceReady | e.Awake) -> None:
        load = self._open.pop(event.command, None)
        if load is None:
            return
        load.load_s = event.load_s
        if isinstance(event, e.InstanceReady):
            load.phases_s = sum(s for name, s in event.phases if name != MOVING_PHASE)
        self.loads[load.instance, load.started_at] = load


def start_ups(log: CopiesLog, record: RunRecord) -> StartUps:
    """`log` and `record` have seen the same run from its start."""
    requests = record.requests
    least_wait_s = least_waits_s(log, record)
    cold = np.isfinite(least_wait_s)
    loads = list(log.loads.values())
    return StartUps(
        cold_requests=int(cold.sum()),
        ttft_s=quantiles((requests.first_token_at - requests.arrived_at)[cold]),
        least_ttft_s=quantiles(least_wait_s),
        loads=len(loads),
        load_s=quantiles(np.array([load.load_s for load in loads], np.float64)),
        least_load_s=quantiles(np.array([load.least_s for load in loads], np.float64)),
    )


def least_waits_s(log: CopiesLog, record: RunRecord) -> Floats:
    """From arrival to first token at the least, shape (n,); nan unless cold and finished.

    A request that came while its load ran waits for what was left of it.
    """
    requests = record.requests
    waits_s = np.full(len(requests), np.nan)
    for row in np.flatnonzero(requests.finished & (requests.cold == Cold.COLD)):
        of = record.loads[requests.load[row]]
        load = log.loads[of.instance, of.started_at]
        late_s = max(0.0, float(requests.arrived_at[row]) - load.started_at)
        waits_s[row] = max(0.0, load.least_s - late_s)
    return waits_s


def least_s_of_models(log: CopiesLog) -> dict[int, float]:
    """Seconds that no load of a model could have fallen below in this run."""
    least_s: dict[int, float] = {}
    for load in log.loads.values():
        least_s[load.model] = min(load.least_s, least_s.get(load.model, load.least_s))
    return least_s
