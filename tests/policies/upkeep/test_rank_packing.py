"""Parts of like ranks by hand, when packing pays, and what it is good and bad for."""

from msgspec import structs

from fleet.commands import AttachAdapter, Command, DetachAdapter
from fleet.domain import AdapterId, ArtifactId, Tier
from fleet.events import RequestArrived
from policies.routing.ranks import RankTable
from policies.upkeep.rank_packing import RankPacking, cut
from tests.policies.adapters import lora, replicas, shared
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import Setting, gains, loses
from tests.policies.room.settings import mean_e2e_s


def named(*numbers: int) -> list[AdapterId]:
    return [AdapterId(ArtifactId(n)) for n in numbers]


def test_parts_are_contiguous_and_of_equal_demand() -> None:
    """8 in all for two: 3 + 1 is half of it; then 2 + 2. Of 6, 1 and 1 the first is more than."""
    own = named(1, 2, 3, 4)
    even = dict(zip(own, (3.0, 1.0, 2.0, 2.0), strict=True))
    assert cut(own, even, 2, 4) == [named(1, 2), named(3, 4)]
    steep = dict(zip(own, (6.0, 0.5, 0.5, 1.0), strict=True))
    assert cut(own, steep, 2, 4) == [named(1), named(2, 3, 4)]


def test_slots_bound_a_part_and_what_fits_nowhere_is_left_out() -> None:
    own = named(1, 2, 3, 4, 5)
    demand = dict.fromkeys(own, 1.0)
    assert cut(own, demand, 2, 2) == [named(1, 2), named(3, 4)]
    assert cut(own, dict(zip(own, (9.0, 1, 1, 1, 1), strict=True)), 2, 3) == [
        named(1, 2),
        named(3, 4, 5),
    ]


def piled(slots: int = 4) -> tuple[Bench, RankPacking]:
    """Ranks 8, 8, 64 and 64 are all on the first of two instances; each was asked for 5 times."""
    loras = [structs.replace(adapter(20 + i), rank=r) for i, r in enumerate((64, 8, 64, 8, 1, 1))]
    base = model(0, slots=64, adapters=slots)
    bench = Bench([node(0, 2)], [base], adapters=loras)
    first = bench.run(0, 0)
    bench.run(0, 0)
    bench.aim.at = first
    policy = RankPacking()
    for number in range(20):
        bench.finish(bench.ask(0, adapter=20 + number % 4))
    bench.aim.at = None
    assert first is not None
    for flight in list(bench.state.flights.values()):
        policy.observe(RequestArrived(0.0, flight.request), bench.view)
    return bench, policy


def commands(bench: Bench, policy: RankPacking) -> list[Command]:
    found = []
    for plan in policy.tend(bench.view):
        found += [step.command for step in plan.steps]
        bench.finish(bench.begin(plan))
    return found


def test_loraserve_by_hand_attaches_one_part_to_each_instance() -> None:
    """Demands are 1.08 each for ranks of 8 and 1.64 for those of 64: 2.16 + 1.64 is more than half
    of 5.44, so the small ranks are one part. The empty instance, of mean rank 0, comes first."""
    bench, policy = piled()
    found = commands(bench, policy)
    assert all(isinstance(c, AttachAdapter) for c in found)
    assert [(c.instance, int(c.adapter)) for c in found if isinstance(c, AttachAdapter)] == [
        (1, 21),
        (1, 23),
    ]
    assert not commands(bench, policy)


def test_an_unused_adapter_of_no_part_leaves_where_a_slot_is_lacking() -> None:
    bench, policy = piled()
    second = bench.state.instances[next(i for i in bench.state.instances if i)]
    second.adapters.capacity = 2
    for number in (24, 25):
        bench.aim.at = second
        bench.finish(bench.ask(0, adapter=number))
        bench.controller.requests.moves.leave(bench.state.flights.popitem()[1], second)
    bench.aim.at = None
    found = commands(bench, policy)
    assert [type(c) for c in found] == [DetachAdapter, AttachAdapter] * 2
    assert set(second.adapters.entries) == {21, 23}


def test_nothing_is_attached_that_does_not_pay() -> None:
    bench, _ = piled()
    idle = RankPacking()
    assert not commands(bench, idle), "nobody asked for an adapter"


# In the simulator.


def after_quiet(gap_s: float, ranks: tuple[int, ...]) -> Setting:
    """Six adapters are each asked for once while all is quiet, so all lie on one engine; then
    requests come in turn."""
    loras = tuple(lora(i, rank) for i, rank in enumerate(ranks))
    quiet = [(5.0 + i, i, 1) for i in range(6)]
    busy = [(15.0 + gap_s * i, i % 6, 150) for i in range(300)]
    rows = [*quiet, *busy]
    return shared(rows, loras, instances=3, sequences=256, slots=6, tier=Tier.REMOTE)


UNPACKED = replicas(3, routing=RankTable())


def test_loraserve_gains_engines_for_adapters_that_began_on_one() -> None:
    setting = after_quiet(0.05, (128,) * 6)
    ours = replicas(3, routing=RankTable(), upkeep=(RankPacking(every_s=10.0),))
    gains(setting, ours, UNPACKED, mean_e2e_s, by=1.4)


def test_loraserve_loses_the_loads_of_adapters_where_one_engine_would_do() -> None:
    setting = after_quiet(0.1, (8, 8, 32, 32, 128, 128))
    ours = replicas(3, routing=RankTable(), upkeep=(RankPacking(every_s=10.0),))
    loses(setting, ours, UNPACKED, lambda p: p.summary.adapters.attaches, by=1.2)
