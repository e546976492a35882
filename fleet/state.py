"""The controller's picture of the fleet. Only the controller changes it.

Every index is moved in the method that changes the fact, so nothing on the warm path scans nodes or
instances; `audit.check` recounts them all for the tests.
"""

from collections.abc import Iterable, Sequence
from math import exp

from fleet.cards import Claim, Nodes
from fleet.domain import (
    AdapterId,
    AdapterSpec,
    ArtifactId,
    InstanceId,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    RequestId,
    Tier,
)
from fleet.holders import Flight, Holder, Instance, Phase
from fleet.indexes import LoadBuckets, Residency
from fleet.lanes import Lanes
from fleet.ledger import Cause, Holdings, Ledger
from fleet.needs import Needs
from fleet.pools import Entry, Pool, Stay

#: Seconds over which a model's arrival rate is averaged, exponentially weighted by time.
RATE_WINDOW_S = 60.0

# Bound once: looking a member up on its enum costs as much as a call (CPython 3.11).
READY = Phase.READY
SERVING, IDLE = Cause.SERVING, Cause.IDLE
PENDING = (Phase.PLANNED, Phase.LOADING, Phase.WAKING)
TO_LOAD = (Phase.PLANNED, Phase.LOADING)


class Serving:
    """One model: its ready instances, what waits for it, and how it is asked for."""

    __slots__ = ("_rate", "_rate_at", "asleep", "lanes", "ready", "removed", "spec", "starting")

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.ready = LoadBuckets()
        self.lanes = Lanes()
        self.starting = 0  # planned, loading or waking
        self.asleep: dict[InstanceId, Instance] = {}
        self.removed = False
        self._rate = 0.0
        self._rate_at = 0.0

    def arrived(self, now: float) -> None:
        decayed = self._rate * exp((self._rate_at - now) / RATE_WINDOW_S)
        self._rate = decayed + 1.0 / RATE_WINDOW_S
        self._rate_at = now

    def rate(self, now: float) -> float:
        """Arrivals per second."""
        return self._rate * exp((self._rate_at - now) / RATE_WINDOW_S)


class State:
    def __init__(self, nodes: Sequence[NodeSpec], models: Iterable[ModelSpec]) -> None:
        self.now = 0.0
        self.ledger = Ledger()
        self.nodes = Nodes([])
        self.pools: list[dict[Tier, Pool]] = []
        self.cache_held = {Tier.DRAM: Holdings(), Tier.SSD: Holdings()}
        self.on_node: list[dict[InstanceId, Instance]] = []
        self.serving: dict[ModelId, Serving] = {}
        self.adapters: dict[AdapterId, AdapterSpec] = {}
        self.instances: dict[InstanceId, Instance] = {}
        self.flights: dict[RequestId, Flight] = {}
        self.residency = Residency()
        self.needs = Needs()
        self.waiting = 0
        for node in nodes:
            self.add_node(node)
        for model in models:
            self.serving[model.id] = Serving(model)

    def add_node(self, spec: NodeSpec) -> None:
        self.nodes.extend([spec])
        self.pools.append(
            {
                Tier.DRAM: Pool(Tier.DRAM, spec.dram_bytes, spec.kind),
                Tier.SSD: Pool(Tier.SSD, spec.ssd_bytes, spec.kind),
            }
        )
        self.on_node.append({})

    # Slots and work

    def take_slot(self, instance: Instance) -> None:
        """One more sequence, or a reservation for one that is on its way."""
        ready = instance.phase is READY
        if ready:
            self.serving[instance.model.id].ready.shift(instance, 1)
        else:
            instance.load += 1
        if instance.load == 1:
            self.ledger.turn(instance.meter, self.now, SERVING)
            if ready:
                self.nodes.idle(instance.shards, -1)

    def give_slot(self, instance: Instance) -> None:
        ready = instance.phase is READY
        if ready:
            self.serving[instance.model.id].ready.shift(instance, -1)
        else:
            instance.load -= 1
        if not instance.load:
            self.ledger.turn(instance.meter, self.now, IDLE)
            instance.idle_since = self.now
            if ready:
                self.nodes.idle(instance.shards, 1)

    # Instances

    def add_instance(self, instance: Instance) -> None:
        """A planned instance takes what is free of its cards."""
        self.instances[instance.id] = instance
        instance.meter.kind = self.nodes.specs[instance.node].kind
        for shard in instance.shards:
            self.on_node[shard.node][instance.id] = instance
        self.serving[instance.model.id].starting += 1
        self.nodes.loading(instance.shards, 1)
        self.claim(instance)

    def claim(self, holder: Holder) -> None:
        self.nodes.claim(holder.claim, self.now)
        self.ledger.resize(holder.meter, self.now, holder.claim.held_bytes)

    def enter(self, instance: Instance, phase: Phase) -> None:
        """Change phase, and with it every index that a phase decides."""
        serving = self.serving[instance.model.id]
        before = instance.phase
        if before is Phase.READY:
            serving.ready.remove(instance)
            if not instance.load:
                self.nodes.idle(instance.shards, -1)
        elif before is Phase.ASLEEP:
            del serving.asleep[instance.id]
        serving.starting += (phase in PENDING) - (before in PENDING)
        instance.phase = phase
        if before in TO_LOAD and phase not in TO_LOAD:
            self._load_over(instance)
        if phase is Phase.READY:
            serving.ready.add(instance)
            if not instance.load:
                instance.idle_since = self.now
                self.nodes.idle(instance.shards, 1)
            self.ledger.turn(instance.meter, self.now, busy_cause(instance))
        elif phase is Phase.ASLEEP:
            serving.asleep[instance.id] = instance
        elif phase is Phase.WAKING:
            self.ledger.turn(instance.meter, self.now, Cause.LOADING)

    def _load_over(self, instance: Instance) -> None:
        """What its nodes still load is believed to end no later than one after another from now."""
        self.nodes.loading(instance.shards, -1)
        until = self.nodes.loading_until
        for shard in instance.shards:
            others = self.on_node[shard.node].values()
            at = self.now + sum(i.alone_s for i in others if i.phase in TO_LOAD)
            late = until[shard.node] <= self.now
            until[shard.node] = at if late else min(at, until[shard.node])

    def release(self, holder: Holder) -> None:
        """Give a holder's GPU memory to whom it was promised, or to the free store."""
        if holder.claim.closed:
            return
        to = holder.promised_to
        receiver = self._receiver(to)
        self.nodes.release(holder.claim, to, self.now)
        self.ledger.resize(holder.meter, self.now, 0)
        if receiver is not None:
            self.ledger.resize(receiver.meter, self.now, receiver.claim.held_bytes)
        holder.promised_to = None

    def remove_instance(self, instance: Instance, charged_to: Cause | None = None) -> None:
        """It is gone; its current stint may be charged to another cause (a failed load)."""
        if charged_to is not None:
            self.ledger.charge(instance.meter, self.now, charged_to)
        self.enter(instance, Phase.STOPPING)
        self.release(instance)
        del self.instances[instance.id]
        for node in {shard.node for shard in instance.shards}:
            del self.on_node[node][instance.id]

    def _receiver(self, claim: Claim | None) -> Holder | None:
        if claim is None or claim.closed:
            return None
        for other in self.on_node[claim.shards[0].node].values():
            if other.claim is claim:
                return other
        raise AssertionError("an open claim belongs to an instance")

    # Cached copies

    def pool(self, node: NodeId, tier: Tier) -> Pool:
        return self.pools[node][tier]

    def cache_add(self, node: NodeId, tier: Tier, artifact: ArtifactId, size: int) -> Entry:
        """Room is taken for a copy on its way."""
        entry = self.pools[node][tier].add(artifact, size, self.now)
        self.cache_held[tier].change(size, self.now)
        return entry

    def cache_here(self, node: NodeId, tier: Tier, entry: Entry) -> None:
        entry.stay = Stay.HERE
        self.ledger.turn(entry.meter, self.now, Cause.IDLE)
        self.reindex(entry.artifact, node)

    def cache_remove(self, node: NodeId, tier: Tier, entry: Entry) -> None:
        """The copy is gone, or never came: then its time was wasted."""
        cause = Cause.WASTED if entry.stay is Stay.COMING else entry.meter.cause
        self.ledger.charge(entry.meter, self.now, cause)
        self.pools[node][tier].remove(entry)
        self.cache_held[tier].change(-entry.size, self.now)
        self.reindex(entry.artifact, node)

    def reindex(self, artifact: ArtifactId, node: NodeId) -> None:
        """Recompute the best tier at which a node holds an artifact."""
        pools = self.pools[node]
        for tier in (Tier.DRAM, Tier.SSD):
            if pools[tier].has(artifact):
                return self.residency.set(artifact, node, tier)
        self.residency.set(artifact, node, Tier.REMOTE)

    # Accounts

    def settle_accounts(self) -> None:
        """Charge every open stint up to now; after this the ledger is complete."""
        for instance in self.instances.values():
            self.ledger.charge(instance.meter, self.now, instance.meter.cause)
        for pools in self.pools:
            for pool in pools.values():
                for entry in pool.entries.values():
                    self.ledger.charge(entry.meter, self.now, entry.meter.cause)

    def size(self, artifact: ArtifactId) -> int:
        """Bytes of a model's or an adapter's weights."""
        serving = self.serving.get(ModelId(artifact))
        if serving is not None:
            return serving.spec.weight_bytes
        return self.adapters[AdapterId(artifact)].weight_bytes


def busy_cause(instance: Instance) -> Cause:
    return Cause.SERVING if instance.load else Cause.IDLE
