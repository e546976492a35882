"""Which copies a run asked its caches for: the accesses of each SSD, DRAM and set of adapter slots.

Read from a journal's events and commands. An access is a load, wake, attach or prefetch that was
carried out, in the order in which they were commanded. DRAM of a node sees all that go to its
cards, its SSD those that DRAM did not have; a copy read by another node is no access. An adapter
slot is also accessed by each dispatch of a request with that adapter. An access without cost lets
a copy in that came from nowhere slower: weights that a sleeping instance leaves in DRAM, and what
lies on a node that joins. Knows no policy, and not what a better cache would have done.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fleet import commands as c
from fleet import events as e
from fleet.controller import Setup
from fleet.domain import AdapterSpec, ArtifactId, ModelSpec, NodeSpec, Place, Tier
from traces.bounds.offline_caching import Accesses

Kind = Literal["ssd", "dram", "slots"]


@dataclass(slots=True)
class Pool:
    """One cache and what happened in it. Entries of the lists belong to one access each.

    `capacity` and `sizes` are bytes, or slots for adapters; `costs_bytes` is what a miss moves
    over a path of `bytes_per_s`, and `hits` says whether the access found its copy. `orders`
    are places among all accesses of the run.
    """

    kind: Kind
    capacity: int
    bytes_per_s: float
    initial: set[int] = field(default_factory=set)
    orders: list[int] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    costs_bytes: list[int] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)

    def in_order(self) -> Accesses:
        """Sorted in place, which `add` need not be. A slot must be had to be used."""
        by_order = sorted(range(len(self.orders)), key=self.orders.__getitem__)
        for column in (self.orders, self.objects, self.sizes, self.costs_bytes):
            column[:] = [column[at] for at in by_order]
        self.hits[:] = [self.hits[at] for at in by_order]
        initial = frozenset(self.initial)
        bypass = self.kind != "slots"
        return Accesses(self.capacity, self.objects, self.sizes, initial, bypass)


@dataclass(frozen=True, slots=True)
class _Row:
    """An access that counts once its command has been carried out."""

    pool: Pool
    order: int
    artifact: int
    size: int
    cost_bytes: int
    hit: bool

    def add(self) -> None:
        pool = self.pool
        pool.orders.append(self.order)
        pool.objects.append(self.artifact)
        pool.sizes.append(self.size)
        pool.costs_bytes.append(self.cost_bytes)
        pool.hits.append(self.hit)


class AccessLog:
    """Watches a run from its start: `observe` each event with its commands, then read `pools`."""

    def __init__(self, setup: Setup) -> None:
        self.pools: list[Pool] = []
        self._of_node: dict[int, dict[Tier, Pool]] = {}
        self._pcie: dict[int, float] = {}
        self._slots: dict[int, Pool] = {}
        self._artifacts: dict[int, ModelSpec | AdapterSpec] = {}
        self._instances: dict[int, tuple[ModelSpec, tuple[int, ...]]] = {}  # and its nodes
        self._adapter_of: dict[int, int] = {}  # by request
        self._open: dict[int, list[_Row]] = {}  # by command
        self._order = 0
        for node in setup.nodes:
            self._join(node)
        self._artifacts |= {model.id: model for model in setup.models}
        self._artifacts |= {adapter.id: adapter for adapter in setup.adapters}
        for resident, place in setup.resident:
            if place.node is not None:
                self._of_node[place.node][place.tier].initial.add(resident)
        self._sinks: dict[type, Callable[[Any], None]] = {
            e.RequestArrived: self._on_arrived,
            e.NodeJoined: self._on_joined,
            e.ArtifactAdded: self._on_added,
            e.Slept: self._on_slept,
            c.StartInstance: self._on_start,
            c.Wake: self._on_wake,
            c.Sleep: self._on_sleep,
            c.AttachAdapter: self._on_attach,
            c.Fetch: self._on_fetch,
            c.Dispatch: self._on_dispatch,
        }
        done = (e.InstanceReady, e.Awake, e.AdapterAttached, e.Fetched)
        self._sinks |= dict.fromkeys(done, self._on_done)

    def observe(self, event: e.Event, commands: Sequence[c.Command]) -> None:
        """One event and the commands it caused, in order."""
        for said in (event, *commands):
            sink = self._sinks.get(type(said))
            if sink is not None:
                sink(said)

    # What there is

    def _join(self, node: NodeSpec) -> None:
        links = node.links
        self._pcie[node.id] = links.pcie_bytes_per_s
        ssd = Pool("ssd", node.ssd_bytes, links.remote_bytes_per_s)
        dram = Pool("dram", node.dram_bytes, links.ssd_bytes_per_s)
        self._of_node[node.id] = {Tier.SSD: ssd, Tier.DRAM: dram}
        self.pools += (ssd, dram)

    def _on_joined(self, event: e.NodeJoined) -> None:
        self._join(event.node)
        for artifact, tier in event.resident:
            self._came(artifact, Place(event.node.id, tier))

    def _on_added(self, event: e.ArtifactAdded) -> None:
        self._artifacts[event.artifact.id] = event.artifact
        for place in event.places:
            self._came(event.artifact.id, place)

    def _came(self, artifact: ArtifactId, place: Place) -> None:
        if place.node is not None:
            self._row(self._of_node[place.node][place.tier], artifact, free=True).add()

    def _on_arrived(self, event: e.RequestArrived) -> None:
        if event.request.adapter is not None:
            self._adapter_of[event.request.id] = event.request.adapter

    # Accesses

    def _row(self, pool: Pool, artifact: int, *, hit: bool = False, free: bool = False) -> _Row:
        self._order += 1
        weight_bytes = self._artifacts[artifact].weight_bytes
        size = 1 if pool.kind == "slots" else weight_bytes
        return _Row(pool, self._order, artifact, size, 0 if free else weight_bytes, hit)

    def _passing(self, artifact: int, node: int, sources: Iterable[Place], to: Tier) -> list[_Row]:
        """Accesses on the way from the slowest source to a tier of the node."""
        pools = self._of_node[node]
        nearest = min(s.tier if s.node == node else Tier.REMOTE for s in sources)
        if nearest > to:  # written back
            return [self._row(pools[to], artifact, free=True)]
        rows = []
        for tier in (Tier.DRAM, Tier.SSD):
            if nearest <= tier <= to:
                rows.append(self._row(pools[tier], artifact, hit=nearest is tier))
        return rows

    def _on_start(self, command: c.StartInstance) -> None:
        model = self._artifacts[command.model]
        assert isinstance(model, ModelSpec)
        nodes = tuple(dict.fromkeys(int(shard.node) for shard in command.shards))
        self._instances[command.instance] = (model, nodes)
        pairs = list(zip(command.shards, command.sources, strict=True))
        self._open[command.id] = [
            row
            for node in nodes
            for row in self._passing(
                command.model, node, [s for shard, s in pairs if shard.node == node], Tier.GPU
            )
        ]

    def _on_wake(self, command: c.Wake) -> None:
        model, nodes = self._instances[command.instance]
        rows = [self._passing(model.id, node, [command.source], Tier.GPU) for node in nodes]
        self._open[command.id] = [row for some in rows for row in some]

    def _on_attach(self, command: c.AttachAdapter) -> None:
        node = self._instances[command.instance][1][0]
        rows = self._passing(command.adapter, node, [command.source], Tier.GPU)
        rows.append(self._row(self._slots_of(command.instance), command.adapter))
        self._open[command.id] = rows

    def _on_fetch(self, command: c.Fetch) -> None:
        target = command.target
        assert target.node is not None, "the remote store is only read"
        rows = self._passing(command.artifact, target.node, [command.source], target.tier)
        self._open[command.id] = rows

    def _on_dispatch(self, command: c.Dispatch) -> None:
        adapter = self._adapter_of.get(command.request)
        if adapter is not None:
            self._row(self._slots_of(command.instance), adapter, hit=True).add()

    def _on_done(self, answer: e.Answer) -> None:
        for row in self._open.pop(answer.command, ()):
            row.add()

    def _slots_of(self, instance: int) -> Pool:
        pool = self._slots.get(instance)
        if pool is None:
            model, nodes = self._instances[instance]
            pool = Pool("slots", model.max_adapters, self._pcie[nodes[0]])
            self._slots[instance] = pool
            self.pools.append(pool)
        return pool

    # Sleep

    def _on_sleep(self, command: c.Sleep) -> None:
        model, nodes = self._instances[command.instance]
        if command.level == 1:
            pool = self._of_node[nodes[0]][Tier.DRAM]
            self._open[command.id] = [self._row(pool, model.id, free=True)]

    def _on_slept(self, event: e.Slept) -> None:
        """Adapters are gone with the GPU's memory: whoever wakes begins with empty slots."""
        self._slots.pop(event.instance, None)
        self._on_done(event)
