"""Replicas of adapters by hand, and what they are good and bad for."""

from math import isclose

from fleet.commands import AttachAdapter
from fleet.domain import Tier
from fleet.events import RequestArrived
from fleet.policy import Upkeep
from policies.routing.ranks import RankTable
from policies.upkeep.attachments import attach
from policies.upkeep.replication import DloraPlacement, ReplicasOnDemand, free_bytes
from tests.policies.adapters import lora, replicas, shared
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import Setting, gains, loses
from tests.policies.room.settings import mean_e2e_s
from tests.policies.routing.test_ranks import hot, six
from tests.policies.upkeep.test_rank_packing import named


def attached(bench: Bench, policy: Upkeep) -> list[tuple[int, int]]:
    """(instance, adapter) of each attach; carried out as it is proposed."""
    found = []
    for plan in policy.tend(bench.view):
        commands = [step.command for step in plan.steps]
        found += [
            (int(c.instance), int(c.adapter)) for c in commands if isinstance(c, AttachAdapter)
        ]
        bench.finish(bench.begin(plan))
    return found


def busy(slots: int = 2) -> Bench:
    """The first of three instances holds adapter 20 and is full; one request more waits for it."""
    base = model(0, slots=2, adapters=slots)
    bench = Bench([node(0, 3)], [base], adapters=[adapter(20), adapter(21)])
    first = bench.run(0, 0)
    for _ in range(2):
        bench.run(0, 0)
    bench.aim.at = first
    for _ in range(2):
        bench.finish(bench.ask(0, adapter=20))
    bench.aim.at = None
    bench.ask(0, adapter=20)
    return bench


def test_adapter_replicas_by_hand_come_when_the_wait_is_longer_than_the_attach() -> None:
    """0.1 s and 8 bytes at 80 a second from memory: 0.2 s."""
    bench = busy()
    plan = attach(
        named(20)[0], bench.state.instances[next(i for i in bench.state.instances if i)], bench.view
    )
    assert plan is not None
    attach_s = plan.ready_at - bench.view.now
    assert not attached(bench.at(attach_s), ReplicasOnDemand())
    assert attached(bench.at(attach_s + 0.01), ReplicasOnDemand()) == [(1, 20)]
    assert attached(bench, ReplicasOnDemand()) == [(2, 20)]
    assert not attached(bench, ReplicasOnDemand()), "all have it"


def test_nobody_who_could_not_serve_gets_a_replica() -> None:
    bench = busy()
    for number in (1, 2):
        bench.aim.at = bench.state.instances[list(bench.state.instances)[number]]
        for _ in range(2):
            bench.ask(0)
    bench.aim.at = None
    assert not attached(bench.at(10.0), ReplicasOnDemand())


def test_an_adapter_that_is_gone_is_known_to_be() -> None:
    bench = busy()
    assert bench.view.known_adapter(named(20)[0]) is not None
    assert bench.view.known_adapter(named(99)[0]) is None


def placed(policy: DloraPlacement, asks: dict[int, int], slots: int = 2) -> Bench:
    """Adapters 20 and 21 are on the first of three instances, asked for so often."""
    base = model(0, slots=64, adapters=slots)
    bench = Bench([node(0, 3)], [base], adapters=[adapter(20), adapter(21)])
    first = bench.run(0, 0)
    for _ in range(2):
        bench.run(0, 0)
    bench.aim.at = first
    for number, times in asks.items():
        for _ in range(times):
            bench.finish(bench.ask(0, adapter=number))
    bench.aim.at = None
    for flight in bench.state.flights.values():
        policy.observe(RequestArrived(0.0, flight.request), bench.view)
    return bench


def test_dlora_placement_by_hand_gives_the_largest_deficit_the_emptiest_instance() -> None:
    """Shares 0.75 and 0.25, a replica each: deficits 0.25 and -0.25. With one more of the first, on
    an empty instance, they are 1/12 and -1/12; with the third, 0 and 0."""
    policy = DloraPlacement()
    bench = placed(policy, {20: 3, 21: 1})
    assert isclose(free_bytes(next(iter(bench.state.instances.values())), bench.view), 60.0)
    assert attached(bench, policy)[:2] == [(1, 20), (2, 20)]


def test_slots_and_the_number_a_period_bound_replicas() -> None:
    policy = DloraPlacement(most=1)
    assert len(attached(placed(policy, {20: 3, 21: 1}), policy)) == 1
    full = DloraPlacement()
    bench = placed(full, {20: 3, 21: 1})
    for instance in bench.state.instances.values():
        instance.adapters.capacity = len(instance.adapters.entries)
    assert not attached(bench, full)


# In the simulator.


def burst(output_tokens: int) -> Setting:
    """32 requests at once for an adapter of 1 GB, which takes 0.8 s to come; engines of four."""
    rows = [(5.0, 0, 1), *((20.0 + 0.01 * i, 0, output_tokens) for i in range(32))]
    loras = (lora(0, 16, 10**9),)
    return shared(rows, loras, instances=8, sequences=4, slots=1, tier=Tier.REMOTE)


def test_adapter_replicas_gains_attaches_side_by_side() -> None:
    """Otherwise the next one begins when the one before has come, and is full."""
    ours = replicas(8, routing=RankTable(), upkeep=(ReplicasOnDemand(),))
    gains(burst(300), ours, replicas(8, routing=RankTable()), lambda p: p.mean_ttft_s, by=1.2)


def test_adapter_replicas_loses_loads_that_come_too_late() -> None:
    """Requests of 0.4 s: the burst is over before the last replica has come."""
    ours = replicas(8, routing=RankTable(), upkeep=(ReplicasOnDemand(every_s=0.5),))
    none = replicas(8, routing=RankTable())
    loses(burst(10), ours, none, lambda p: p.summary.adapters.attaches, by=1.2)


def test_dlora_placement_gains_engines_for_a_hot_adapter_before_it_queues() -> None:
    ours = replicas(3, routing=RankTable(), upkeep=(DloraPlacement(every_s=2.0),))
    gains(hot(), ours, replicas(3, routing=RankTable()), mean_e2e_s, by=1.4)


def test_dlora_placement_loses_loads_of_adapters_that_nobody_missed() -> None:
    ours = replicas(3, routing=RankTable(), upkeep=(DloraPlacement(every_s=2.0),))
    none = replicas(3, routing=RankTable())
    loses(six(6), ours, none, lambda p: p.summary.adapters.attaches, by=1.5)
