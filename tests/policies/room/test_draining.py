"""Letting busy instances run dry for a model that has waited long enough."""

from math import isclose

from fleet.domain import NodeId, Whole
from fleet.holders import Phase
from policies.placement.starts import behind
from policies.room.draining import DrainBusy, remaining
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.room.settings import (
    IDLE_ONLY,
    beside_idle,
    first_token_s,
    one_long_beside_short,
    starving,
)

HERE = NodeId(0)


def crowded(waited_s: float) -> Bench:
    """Two cards, each busy since 0 s, and one request for a model that needs both."""
    bench = Bench([node(0, 2)], [model(0), model(1), model(2, Whole(2))])
    bench.run(0, 0, requests=1)
    bench.run(1, 0, requests=1)
    bench.ask(2)
    return bench.at(waited_s)


def test_nobody_is_drained_before_the_wait_is_long() -> None:
    bench = crowded(14.9)
    spec = bench.need(2).model
    assert DrainBusy(15.0).make(HERE, spec, bench.view) is None
    assert not DrainBusy(15.0).reach(spec, bench.view).any()


def test_a_running_request_is_believed_to_be_as_long_as_a_mean_one_or_as_long_again() -> None:
    """128 tokens at 0.1 s each until others were seen: 12.8 s in all."""
    early, late = crowded(2.8), crowded(20.0)
    assert isclose(remaining(next(iter(early.state.flights.values())), early.view), 10.0)
    assert isclose(remaining(next(iter(late.state.flights.values())), late.view), 20.0)


def test_drain_by_hand_lets_every_busy_instance_that_is_needed_run_dry() -> None:
    bench = crowded(15.0)
    spec = bench.need(2).model
    clearing = DrainBusy(15.0).make(HERE, spec, bench.view)
    assert clearing is not None
    assert isclose(clearing.free_at, 15.0 + 15.0 + 0.5)
    bench.begin(behind(clearing, HERE, spec, clearing.free_at, bench.view))
    phases = sorted(i.phase.name for i in bench.state.instances.values())
    assert phases == ["DRAINING", "DRAINING", "PLANNED"]
    assert next(i for i in bench.state.instances.values() if i.phase is Phase.PLANNED).claim.missing


def test_drain_gains_a_start_for_a_model_of_two_cards_among_small_ones() -> None:
    """Cards come free one at a time, and a small model takes each."""
    gains(starving(), beside_idle(DrainBusy()), IDLE_ONLY, first_token_s, by=4.0)


def test_drain_loses_the_time_of_cards_that_are_held_for_the_last_one() -> None:
    """One card is free in seconds and stands idle for a minute, while short requests queue."""
    setting = one_long_beside_short()
    loses(setting, beside_idle(DrainBusy()), IDLE_ONLY, lambda p: p.mean_ttft_s, by=3.0)
