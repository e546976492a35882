"""Room by stopping, by preempting, and by the cheaper of several."""

from math import e, isclose

import pytest

from fleet.commands import Keep, Migrate, Preempt, StopInstance
from fleet.domain import NodeId, Tier, Whole
from fleet.plans import NOTHING, UNNUMBERED
from policies.keep_alive.idle_time import FixedKeepAlive
from policies.placement.starts import behind
from policies.room.migration import MigrateVictims
from policies.room.stopping import CheapestRoom, EvictIdle, NoRoom, PreemptMovable, PreemptVictims
from tests.policies.bench import Bench, adapter, model, node, part
from tests.policies.duels import Played, gains, loses, with_
from tests.policies.room.settings import (
    IDLE_ONLY,
    beside_idle,
    first_token_s,
    idle_between,
    in_the_way,
    longest_gap_s,
    queue_behind,
)

HERE = NodeId(0)
ANY = PreemptVictims(ratio=0.0)


def kinds(bench: Bench, room: object, number: int) -> list[str]:
    clearing = room.make(HERE, bench.need(number).model, bench.view)  # type: ignore[attr-defined]
    assert clearing is not None
    return [type(step.command).__name__ for step in clearing.plan.steps]


def test_none_by_hand_reaches_nowhere() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    bench.run(0, 0)
    assert not NoRoom().reach(bench.need(1).model, bench.view).any()
    assert NoRoom().make(HERE, bench.need(1).model, bench.view) is None


def test_evict_idle_by_hand_stops_the_one_least_likely_to_be_missed() -> None:
    """cost = (1 - e^(-rate * 60)) * load: one arrival a minute, 2 s from DRAM."""
    bench = Bench([node(0, 2)], [model(0), model(1), model(2)])
    bench.run(0, 0)
    other = bench.run(1, 0)
    assert other is not None
    bench.ask(0)  # nobody serves it here: it only counts as demand
    clearing = EvictIdle().make(HERE, bench.need(2).model, bench.view)
    assert clearing is not None
    assert clearing.cost_s == 0.0
    assert isclose(clearing.free_at, 0.5)
    assert clearing.plan.steps[0].command == StopInstance(
        UNNUMBERED, next(i for i in bench.state.instances if i)
    )
    only = Bench([node(0)], [model(0), model(2)])
    only.run(0, 0)
    only.ask(0)
    clearing = EvictIdle().make(HERE, only.need(2).model, only.view)
    assert clearing is not None
    assert isclose(clearing.cost_s, (1 - 1 / e) * 2.0)


def test_of_equals_the_one_idle_longest_goes() -> None:
    bench = Bench([node(0, 2)], [model(0), model(1), model(2)])
    bench.run(1, 0)
    bench.at(5.0).run(0, 0)
    clearing = EvictIdle().make(HERE, bench.need(2).model, bench.view)
    assert clearing is not None
    assert [s.command.instance for s in clearing.plan.steps] == [0]  # type: ignore[attr-defined]


def test_a_models_own_instance_is_no_victim() -> None:
    bench = Bench([node(0)], [model(0)])
    bench.run(0, 0)
    assert EvictIdle().make(HERE, bench.need(0).model, bench.view) is None


def test_an_instance_that_loads_an_adapter_is_no_victim() -> None:
    """The request that waits for the adapter is in no instance's load."""
    bench = Bench([node(0)], [model(0, adapters=1), model(1)], adapters=[adapter(20, 0)])
    bench.aim.at = bench.run(0, 0)
    attach = bench.ask(0, adapter=20)
    assert EvictIdle().make(HERE, bench.need(1).model, bench.view) is None
    bench.finish(attach)
    assert next(iter(bench.state.instances.values())).load == 1


def test_shares_of_a_card_go_until_another_share_fits() -> None:
    specs = [model(i, part(40), weight_bytes=10) for i in range(2)]
    bench = Bench([node(0)], [*specs, model(9, part(60))])
    for number in range(2):
        bench.run(number, 0)
    assert kinds(bench, EvictIdle(), 9) == ["StopInstance", "StopInstance"]
    assert EvictIdle().reach(bench.need(9).model, bench.view).tolist() == [True]


def test_preempt_by_hand_costs_the_load_to_come_back_and_the_recomputation() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    bench.run(0, 0, requests=2, prompt=100)
    clearing = ANY.make(HERE, bench.need(1).model, bench.view)
    assert clearing is not None
    assert isclose(clearing.cost_s, 2.0 + 2 * 100 * 0.01)
    assert isclose(clearing.free_at, 0.5)
    assert kinds(bench, ANY, 1) == ["Preempt", "Preempt", "StopInstance"]


def test_a_preempted_request_waits_and_the_newcomer_gets_its_card() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    bench.run(0, 0, requests=1)
    spec = bench.need(1).model
    clearing = ANY.make(HERE, spec, bench.view)
    assert clearing is not None
    bench.finish(bench.begin(behind(clearing, HERE, spec, 1.0, bench.view)))
    assert [int(i.model.id) for i in bench.state.instances.values()] == [1]
    assert bench.view.queued(bench.state.flights[0].request.model) == 1  # type: ignore[index]


@pytest.mark.parametrize(("queued", "preempts"), [(3, False), (4, True)])
def test_a_batch_is_preempted_for_one_at_least_three_times_its_size(
    queued: int, preempts: bool
) -> None:
    """SHEPHERD's 3.03: four requests that wait for one that runs, not three."""
    bench = Bench([node(0)], [model(0), model(1)])
    bench.run(0, 0, requests=1)
    for _ in range(queued):
        bench.ask(1)
    clearing = PreemptVictims().make(HERE, bench.need(1).model, bench.view)
    assert (clearing is not None) == preempts


def test_a_request_is_pushed_off_no_more_often_than_allowed() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    bench.aim.at = bench.run(0, 0)
    bench.ask(0)
    spec = bench.need(1).model
    for _ in range(2):
        assert ANY.make(HERE, spec, bench.view) is not None
        push = Preempt(UNNUMBERED, next(iter(bench.state.flights)), Keep.TOKENS)
        bench.finish(bench.begin(NOTHING.then(push, 0.0)))  # aimed: dispatched there again
    assert ANY.make(HERE, spec, bench.view) is None
    assert PreemptVictims(0.0, most_preemptions=3).make(HERE, spec, bench.view) is not None


def test_preempt_movable_by_hand_preempts_what_would_be_moved_and_only_that() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(1)])
    bench.run(0, 0, requests=1)
    spec = bench.need(1).model
    moved = MigrateVictims().make(HERE, spec, bench.view)
    pushed = PreemptMovable().make(HERE, spec, bench.view)
    assert moved is not None
    assert pushed is not None
    assert isclose(moved.cost_s, pushed.cost_s)
    assert pushed.free_at < moved.free_at
    assert kinds(bench, PreemptMovable(), 1) == ["Preempt", "StopInstance"]
    bench.run(1, 1)  # nowhere to move to any more
    assert PreemptMovable().make(HERE, spec, bench.view) is None
    assert ANY.make(HERE, spec, bench.view) is not None


def test_cheapest_by_hand_takes_the_cheaper_room_and_the_first_of_equals() -> None:
    nodes = [node(0), node(1, kind="fast")]
    bench = Bench(nodes, [model(0), model(1)], resident=[(0, 1, Tier.DRAM)])
    bench.run(0, 0, requests=1)
    # Moving: 1 + 0.5 s there, 0.02 s to resume. Preempting: 1 + 1 s to come back here, 0.1 s.
    assert "Migrate" in kinds(bench, CheapestRoom((ANY, MigrateVictims())), 1)
    idle = Bench([node(0)], [model(0), model(1)])
    idle.run(0, 0)
    assert kinds(idle, CheapestRoom((EvictIdle(), ANY)), 1) == ["StopInstance"]
    assert CheapestRoom(()).make(HERE, idle.need(1).model, idle.view) is None


def test_the_reach_of_several_is_what_any_of_them_reaches() -> None:
    bench = Bench([node(0), node(1, 2)], [model(0), model(1, Whole(2))])
    spec = bench.need(1).model
    assert not EvictIdle().reach(spec, bench.view).any()
    assert CheapestRoom().reach(spec, bench.view).tolist() == [False, True]


def test_a_running_migration_keeps_its_request_from_being_preempted() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(1)])
    source, target = bench.run(0, 0, requests=1), bench.run(0, 1)
    assert source is not None
    assert target is not None
    request = next(iter(bench.state.flights))
    move = MigrateVictims().make(HERE, bench.need(1).model, bench.view)
    assert move is not None
    migrate = next(s.command for s in move.plan.steps if isinstance(s.command, Migrate))
    bench.begin(NOTHING.then(migrate, 0.0))
    assert request in target.inbound
    assert ANY.make(HERE, bench.need(1).model, bench.view) is None


# Each against the simplest: stopping nobody, or idle instances only.

IDLE_15_S = with_(IDLE_ONLY, keep_alive=FixedKeepAlive(15.0))
NONE_15_S = with_(IDLE_15_S, room=NoRoom())


def first_of_the_other_s(played: Played) -> float:
    return first_token_s(played, 1)


def test_evict_idle_gains_the_rest_of_a_keep_alive() -> None:
    gains(idle_between(40.0), IDLE_15_S, NONE_15_S, first_token_s, by=3.0)


def test_evict_idle_loses_the_load_of_who_is_asked_for_again() -> None:
    loses(idle_between(12.0), IDLE_15_S, NONE_15_S, first_of_the_other_s, by=1.5)


def test_none_gains_warm_starts_for_who_is_asked_for_again() -> None:
    gains(idle_between(12.0), NONE_15_S, IDLE_15_S, first_of_the_other_s, by=1.5)


def test_none_loses_the_rest_of_a_keep_alive() -> None:
    loses(idle_between(40.0), NONE_15_S, IDLE_15_S, first_token_s, by=3.0)


def test_preempt_gains_where_four_short_requests_wait_for_a_long_one() -> None:
    ours, _ = gains(
        queue_behind(4, 50), beside_idle(PreemptVictims()), IDLE_ONLY, lambda p: p.mean_ttft_s
    )
    assert ours.commands["Preempt"]


def test_preempt_loses_where_the_victim_had_less_left_than_its_followers_take() -> None:
    """It was to end soon; what pushed it off runs for minutes."""
    setting = queue_behind(4, 1500, long_tokens=800)
    loses(setting, beside_idle(PreemptVictims()), IDLE_ONLY, lambda p: p.mean_ttft_s, by=2.0)


def test_preempt_movable_gains_the_node_where_the_newcomer_lies() -> None:
    gains(in_the_way(), beside_idle(PreemptMovable()), IDLE_ONLY, first_token_s, by=5.0)


def test_preempt_movable_loses_smoothness_for_who_must_load_again() -> None:
    shepherd = beside_idle(PreemptMovable())
    loses(in_the_way(), shepherd, IDLE_ONLY, longest_gap_s, by=5.0)
    loses(in_the_way(), shepherd, beside_idle(MigrateVictims()), longest_gap_s, by=5.0)


def test_cheapest_gains_what_any_of_its_rooms_can_do() -> None:
    """Nobody is idle, so it moves; where somebody is, it stops that one and moves nobody."""
    both = with_(IDLE_ONLY, room=CheapestRoom())
    gains(in_the_way(), both, IDLE_ONLY, first_token_s, by=5.0)
    ours, _ = gains(
        idle_between(40.0), with_(IDLE_15_S, room=CheapestRoom()), NONE_15_S, first_token_s
    )
    assert not ours.commands["Migrate"]


def test_cheapest_loses_smoothness_for_those_that_are_moved() -> None:
    loses(in_the_way(), with_(IDLE_ONLY, room=CheapestRoom()), IDLE_ONLY, longest_gap_s, by=1.5)
