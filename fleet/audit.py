"""Recounts everything the state's indexes claim. For tests: O(fleet), changes nothing."""

from collections import Counter

from fleet.domain import Tier
from fleet.holders import Instance, Phase
from fleet.ledger import Meter, to_ns
from fleet.pools import Stay
from fleet.state import PENDING, State


def check(state: State) -> None:
    """Raise AssertionError at the first book that does not balance."""
    check_instances(state)
    check_requests(state)
    check_cards(state)
    check_caches(state)
    check_ledger(state)


def check_instances(state: State) -> None:
    for serving in state.serving.values():
        mine = [i for i in state.instances.values() if i.model.id == serving.spec.id]
        ready = {i.id for i in mine if i.phase is Phase.READY}
        assert {i.id for i in serving.ready} == ready
        assert len(serving.ready) == len(ready)
        assert serving.starting == sum(i.phase in PENDING for i in mine)
        assert serving.asleep.keys() == {i.id for i in mine if i.phase is Phase.ASLEEP}
    for instance in state.instances.values():
        assert instance.load == len(instance.running) + len(instance.inbound) <= instance.slots
        if instance.phase in PENDING or instance.phase in (Phase.ASLEEP, Phase.STOPPING):
            assert not instance.load, f"instance {instance.id} has work while {instance.phase.name}"
        check_adapters(instance)


def check_adapters(instance: Instance) -> None:
    instance.adapters.check()
    using = Counter(f.request.adapter for f in instance.running.values())
    using.update(m.flight.request.adapter for m in instance.inbound.values())
    for entry in instance.adapters.entries.values():
        assert entry.pins == using.pop(entry.artifact, 0)  # type: ignore[call-overload]
        assert not entry.pins or entry.stay is Stay.HERE
    using.pop(None, None)
    assert not using, f"requests run on instance {instance.id} without their adapters {using}"


def check_requests(state: State) -> None:
    """Every request in flight is in exactly one place."""
    waiting = [f for s in state.serving.values() for f in s.lanes.flights()]
    running = [f for i in state.instances.values() for f in i.running.values()]
    assert state.waiting == len(waiting)
    assert sum(s.lanes.waiting for s in state.serving.values()) == len(waiting)
    places = Counter(f.request.id for f in (*waiting, *running))
    assert places.keys() == state.flights.keys()
    assert all(count == 1 for count in places.values())
    for instance in state.instances.values():
        assert all(f.instance is instance for f in instance.running.values())
    assert all(f.instance is None for f in waiting)


def check_cards(state: State) -> None:
    nodes = state.nodes
    for spec in nodes.specs:
        on_node = state.on_node[spec.id].values()
        if not nodes.alive[spec.id]:
            assert not on_node
            continue
        held = [0] * spec.gpus
        for instance in on_node:
            for shard in instance.shards:
                if shard.node == spec.id and not instance.claim.closed:
                    for gpu in shard.gpus:
                        missing = instance.claim.missing.get((spec.id, gpu), 0)
                        held[gpu] += shard.gpu_bytes - missing
        free = [spec.gpu_bytes - h for h in held]
        assert nodes.free_bytes[spec.id] == free
        assert nodes.free_gpus[spec.id] == sum(f == spec.gpu_bytes for f in free)
        assert nodes.largest_part[spec.id] == max(free, default=0)
        idle = [i for i in on_node if i.phase is Phase.READY and not i.load]
        cards = sum(len(s.gpus) for i in idle for s in i.shards if s.node == spec.id)
        assert nodes.idle_gpus[spec.id] == cards
        to_load = [i for i in on_node if i.phase in (Phase.PLANNED, Phase.LOADING)]
        stages = sum(s.node == spec.id for i in to_load for s in i.shards)
        assert nodes.loads[spec.id] == stages


def check_caches(state: State) -> None:
    best: dict[int, dict[int, Tier]] = {}
    for node, pools in enumerate(state.pools):
        for tier in (Tier.SSD, Tier.DRAM):
            pools[tier].check()
            for entry in pools[tier].entries.values():
                if entry.stay is Stay.HERE:
                    best.setdefault(entry.artifact, {})[node] = tier
    for artifact in (*state.serving, *state.adapters):
        assert state.residency.of(artifact) == best.get(artifact, {})


def check_ledger(state: State) -> None:
    """Every byte-nanosecond held has a cause: exactly, in integers."""
    gpu = [i.meter for i in state.instances.values()]
    assert charged(state, Tier.GPU, gpu) == state.nodes.held.settle(state.now)
    for tier in (Tier.DRAM, Tier.SSD):
        meters = [e.meter for pools in state.pools for e in pools[tier].entries.values()]
        assert charged(state, tier, meters) == state.cache_held[tier].settle(state.now)


def charged(state: State, tier: Tier, open_meters: list[Meter]) -> int:
    now_ns = to_ns(state.now)
    still_open = sum((now_ns - m.since_ns) * m.held_bytes for m in open_meters)
    return state.ledger.total_ns(tier) + still_open
