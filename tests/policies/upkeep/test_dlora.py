"""When dLoRA rearranges, what it moves and attaches, and what that is good and bad for."""

from fleet.commands import AttachAdapter, By, Command, DetachAdapter, Migrate
from fleet.domain import AdapterId, ArtifactId
from policies.upkeep.dlora import DloraMigration
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import gains, loses, with_
from tests.policies.room.settings import longest_gap_s, mean_e2e_s
from tests.policies.upkeep.test_llumnix import BASE, in_turn


def lopsided(requests: int = 20, slots: int = 1) -> Bench:
    """Two engines of 32 sequences: all requests are on the first, with adapter 20."""
    base = model(0, slots=32, adapters=slots)
    bench = Bench([node(0, 2)], [base], adapters=[adapter(20), adapter(21)])
    first = bench.run(0, 0)
    bench.run(0, 0)
    bench.aim.at = first
    bench.finish(bench.ask(0, adapter=20))
    for _ in range(requests - 1):
        bench.ask(0, adapter=20)
    bench.aim.at = None
    return bench


def commands(bench: Bench, policy: DloraMigration) -> list[Command]:
    return [step.command for plan in policy.tend(bench.view) for step in plan.steps]


def test_dlora_migration_by_hand_attaches_the_adapter_and_moves_half_of_the_requests() -> None:
    """20 requests of 12.8 s: ten move at 0.05 s each, and the slower engine has 128.5 s."""
    attach, *moves = commands(lopsided(), DloraMigration())
    assert isinstance(attach, AttachAdapter)
    assert (attach.instance, attach.adapter) == (1, 20)
    assert len(moves) == 10
    assert all(isinstance(m, Migrate) and m.target == 1 and m.by is By.KV for m in moves)


def test_the_requests_arrive_after_their_adapter() -> None:
    bench = lopsided()
    (plan,) = DloraMigration().tend(bench.view)
    bench.finish(bench.begin(plan))
    loads = [i.load for i in bench.state.instances.values()]
    assert loads == [10, 10]
    assert all(i.has(AdapterId(ArtifactId(20))) for i in bench.state.instances.values())
    assert not commands(bench, DloraMigration())


def test_one_at_a_time_comes_to_the_same_where_requests_are_alike() -> None:
    assert len(commands(lopsided(), DloraMigration(most_numbers=0))) == 11


def test_nothing_moves_before_an_engine_is_full_or_the_gap_is_wide() -> None:
    assert not commands(lopsided(15), DloraMigration())
    assert commands(lopsided(16), DloraMigration())
    assert commands(lopsided(15), DloraMigration(full=0.4))
    assert commands(lopsided(15), DloraMigration(gap=15))


def test_an_adapter_that_nobody_uses_makes_room() -> None:
    bench = lopsided()
    second = bench.state.instances[next(i for i in bench.state.instances if i)]
    bench.aim.at = second
    bench.finish(bench.ask(0, adapter=21))
    bench.aim.at = None
    assert not commands(bench, DloraMigration()), "its slot is in use"
    for request in list(second.running):
        flight = bench.state.flights.pop(request)
        bench.controller.requests.moves.leave(flight, second)
    detach, attach, *_ = commands(bench, DloraMigration())
    assert isinstance(detach, DetachAdapter)
    assert isinstance(attach, AttachAdapter)


def test_nothing_moves_while_something_moves() -> None:
    bench = lopsided()
    (plan,) = DloraMigration().tend(bench.view)
    bench.begin(plan)
    assert not commands(bench, DloraMigration())


def test_dlora_migration_gains_where_one_engine_got_all_the_long_requests() -> None:
    """Half of them move in one round, before the engine's KV cache overflows."""
    ours, _ = gains(in_turn(16), with_(BASE, upkeep=(DloraMigration(),)), BASE, mean_e2e_s, by=1.1)
    assert ours.commands["Migrate"] > 4


def test_dlora_migration_loses_smoothness_over_a_slow_network() -> None:
    """Several caches at once on a slow link: each pause is a long one."""
    eager = with_(BASE, upkeep=(DloraMigration(gap=2),))
    loses(in_turn(6, 100, 0.1e9), eager, BASE, longest_gap_s, by=2.0)
