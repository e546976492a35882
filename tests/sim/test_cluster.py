"""The driver as a whole: when a run ends, late reports, timers, and what is left of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import audit
from fleet import commands as c
from fleet import events as e
from fleet.domain import Tier
from fleet.ledger import Cause
from fleet.limits import Limits
from sim.calendar import Arrival
from sim.faults import FaultRates
from tests.sim.by_hand import Hand
from tests.sim.worlds import (
    CARD_BYTES,
    KIND,
    PHASE_S,
    STEP_S,
    STOP_S,
    Run,
    arrival,
    but,
    finished,
    follow,
    model,
    node,
    setup,
    world,
)

LOAD_S = PHASE_S + 40 / 10
#: Prefill of 8 tokens, then 3 more tokens.
SERVE_S = STEP_S + 8 * 0.125 + 3 * STEP_S
ONE = setup([node(0)], [model(0)])


def test_a_cold_request_waits_for_its_load_and_is_served() -> None:
    run = Run(ONE, "serverlessllm", world()).play([arrival(0, 1.0)])
    ended = finished(run)[0]
    assert ended.scheduled_at == pytest.approx(1.0 + LOAD_S)
    assert ended.ended_at == pytest.approx(1.0 + LOAD_S + SERVE_S)
    assert run.cluster.end_at == pytest.approx(ended.ended_at)


def test_a_run_ends_with_its_last_request() -> None:
    run = Run(ONE, {"recipe": "static"}, world()).play([arrival(0, 1.0), arrival(1, 50.0)])
    assert len(finished(run)) == 2
    assert run.cluster.end_at == pytest.approx(50.0 + SERVE_S)


def test_a_run_without_requests_ends_at_once() -> None:
    run = Run(ONE, "static", world()).play([])
    assert run.cluster.end_at == 0.0
    assert run.said == []


def test_a_run_ends_when_it_is_told_to() -> None:
    run = Run(ONE, "static", world()).play([arrival(0, 1.0), arrival(1, 50.0)], until=20.0)
    assert run.cluster.end_at == 20.0
    assert list(finished(run)) == [0]
    assert run.controller.state.now == 20.0


def test_a_request_that_nobody_can_serve_does_not_keep_the_run_for_ever() -> None:
    huge = model(0, weight_bytes=1000, stages=3)
    run = Run(setup([node(0)], [huge]), "static", world()).play([arrival(0, 1.0)])
    assert run.cluster.end_at == 1.0 + run.cluster.world.drain_s
    assert set(run.controller.state.flights) == {0}


def test_a_request_that_is_rejected_ends_the_run() -> None:
    start = setup([node(0)], [model(0)], limits=Limits(max_waiting=0))
    run = Run(start, "static", world()).play([arrival(0, 1.0)])
    assert [order.reason for order in run.commands(c.Reject)] == ["queue_full"]
    assert run.cluster.end_at == 1.0


def test_a_late_end_is_counted_before_the_run_is_over() -> None:
    late = FaultRates(late_report_probability=1.0, late_report_s=7.0)
    run = Run(ONE, "static", world(late)).play([arrival(0, 1.0)])
    ended = finished(run)[0]
    assert ended.at == pytest.approx(ended.ended_at + 7.0)
    assert run.cluster.end_at == pytest.approx(ended.at)
    assert not run.controller.state.flights


def test_the_ledger_accounts_for_every_second_of_the_card() -> None:
    """Loading, serving, idle for as long as the load took, and stopping."""
    policy = {"recipe": "keep_alive", "keep_alive_s": 3.0}
    run = Run(ONE, policy, world()).play([arrival(0, 1.0)], until=60.0)
    audit.check(run.controller.state)
    spent = run.controller.state.ledger.byte_seconds(Tier.GPU, KIND)
    assert spent[Cause.LOADING] == pytest.approx(LOAD_S * CARD_BYTES)
    assert spent[Cause.SERVING] == pytest.approx(SERVE_S * CARD_BYTES)
    assert spent[Cause.IDLE] == pytest.approx((3.0 + STOP_S) * CARD_BYTES)


def test_a_timer_fires_at_its_time_and_one_in_the_past_at_once() -> None:
    play = Hand(ONE, world())
    play.give(5.0, c.SetTimer, "later", 9.1)
    play.give(5.0, c.SetTimer, "before", 2.0)
    play.play(20.0)
    fired = [(event.timer, event.at) for event in play.heard(e.TimerFired)]
    assert fired == [("before", 5.0), ("later", 9.1)]


def test_events_come_in_order_of_time() -> None:
    faults = FaultRates(
        late_report_probability=0.5, late_report_s=3.0, load_failure_probability=0.3
    )
    run = Run(
        setup([node(0), node(1)], [model(i) for i in range(4)]), "serverlessllm", world(faults)
    )
    run.play([arrival(i, i * 0.7, 10, model=i % 4) for i in range(40)])
    times = [event.at for event, _ in run.said]
    assert times == sorted(times)
    assert len(finished(run)) == 40


# A closed loop: a client that reads, thinks and asks again


def chain(start_at: float, first: int, turns: int, think_s: float) -> list[Arrival]:
    """A session: a turn with a time, and turns that follow it."""
    rows = [arrival(first, start_at)]
    for number in range(first + 1, first + turns):
        rows.append(follow(arrival(number, start_at), number - 1, think_s))
    return rows


def came_at(run: Run) -> dict[int, float]:
    return {event.request.id: event.at for event in run.events(e.RequestArrived)}


def test_a_turn_comes_a_think_time_after_the_end_of_the_one_before() -> None:
    run = Run(ONE, "static", world()).play([*chain(1.0, 0, 3, 2.0), arrival(3, 50.0)])
    came, ended = came_at(run), finished(run)
    assert came[0] == 1.0
    assert came[1] == pytest.approx(1.0 + LOAD_S + SERVE_S + 2.0)
    assert came[1] == ended[0].ended_at + 2.0
    assert came[2] == ended[1].ended_at + 2.0
    arrived = {event.request.id: event.request for event in run.events(e.RequestArrived)}
    assert [arrived[number].arrived_at for number in range(4)] == [came[n] for n in range(4)]


def test_a_turn_follows_one_that_was_refused() -> None:
    start = setup([node(0)], [model(0)], limits=Limits(max_waiting=0))
    run = Run(start, "static", world()).play(chain(1.0, 0, 3, 2.0))
    assert list(came_at(run).values()) == [1.0, 3.0, 5.0]
    assert len(run.commands(c.Reject)) == 3
    assert run.cluster.end_at == 5.0


def test_a_turn_follows_one_that_failed() -> None:
    start = setup([node(0)], [model(0, kv_bytes_per_token=1)])
    huge = chain(1.0, 0, 2, 2.0)
    run = Run(start, "static", world(kv_blocks=1)).play(
        [Arrival(but(a.request, prompt_tokens=100), 4, a.after, a.think_s) for a in huge]
    )
    failed = run.events(e.RequestFailed)
    assert [event.request for event in failed] == [0, 1]
    assert came_at(run)[1] == pytest.approx(failed[0].at + 2.0)


def test_a_client_hears_an_answer_before_a_late_report_of_it() -> None:
    late = FaultRates(late_report_probability=1.0, late_report_s=7.0)
    run = Run(ONE, "static", world(late)).play(chain(1.0, 0, 2, 2.0))
    assert came_at(run)[1] == finished(run)[0].ended_at + 2.0
    assert set(finished(run)) == {0, 1}
    assert run.cluster.end_at == finished(run)[1].at


def test_who_waits_behind_a_request_without_end_does_not_keep_the_run_for_ever() -> None:
    huge = model(0, weight_bytes=1000, stages=3)
    run = Run(setup([node(0)], [huge]), "static", world()).play(chain(1.0, 0, 2, 2.0))
    assert list(came_at(run)) == [0]
    assert run.cluster.end_at == 1.0 + run.cluster.world.drain_s


def test_a_client_may_think_longer_than_a_run_waits_for_an_end() -> None:
    run = Run(ONE, "static", world()).play(chain(1.0, 0, 3, 5000.0))
    assert len(finished(run)) == 3
    assert run.cluster.end_at > 10_000.0


@given(
    sessions=st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 4), st.sampled_from([0.0, 0.5, 3.0])),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=25, deadline=None)
def test_a_closed_loop_keeps_every_distance(sessions: list[tuple[int, int, float]]) -> None:
    rows: list[Arrival] = []
    for start, turns, think_s in sorted(sessions):
        rows += chain(float(start), len(rows), turns, think_s)
    run = Run(ONE, "serverlessllm", world()).play(rows)
    again = Run(ONE, "serverlessllm", world()).play(iter(rows))
    assert run.said == again.said
    came, ended = came_at(run), finished(run)
    assert set(ended) == set(range(len(rows)))
    for number, row in enumerate(rows):
        if row.after is None:
            assert came[number] == row.request.arrived_at
        else:
            assert came[number] == ended[row.after].ended_at + row.think_s


@pytest.mark.parametrize("seed", range(6))
def test_a_closed_loop_goes_on_through_faults(seed: int) -> None:
    """Crashes, losses, failed loads and late reports: every turn comes, once, after the last."""
    faults = FaultRates(
        node_loss_per_node_hour=20.0,
        repair_s=30.0,
        engine_crash_per_instance_hour=60.0,
        load_failure_probability=0.2,
        late_report_probability=0.5,
        late_report_s=2.0,
    )
    fleet = setup([node(0), node(1)], [model(0), model(1)], limits=Limits(max_age_s=60.0))
    rows: list[Arrival] = []
    for session in range(8):
        rows += chain(3.0 * session, len(rows), 5, 4.0)
    run = Run(fleet, "serverlessllm", world(faults, seed=seed)).play(rows)
    came, ended = came_at(run), finished(run)
    assert sorted(event.request.id for event in run.events(e.RequestArrived)) == list(range(40))
    assert len(ended) > 20
    for number, row in enumerate(rows):
        if row.after is not None and row.after in ended:
            assert came[number] == pytest.approx(ended[row.after].ended_at + row.think_s)
    audit.check(run.controller.state)
