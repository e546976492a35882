"""The driver as a whole: when a run ends, late reports, timers, and what is left of it."""

import pytest

from fleet import audit
from fleet import commands as c
from fleet import events as e
from fleet.domain import Tier
from fleet.ledger import Cause
from fleet.limits import Limits
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
    finished,
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
