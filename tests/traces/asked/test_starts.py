"""How instances came up: believed and measured, first starts and wakings."""

import pytest

from fleet.domain import Place, Tier
from tests.sim.worlds import WAKE_S, arrival, model, node, setup
from tests.traces.explained import explained, journaled, played

START = setup([node(0)], [model(0)], resident=[(0, Place(node(0).id, Tier.SSD))])
SLEEPER = {
    "recipe": "serverlessllm",
    "keep_alive": {"name": "fixed", "keep_alive_s": 1.0, "sleep_level": 1, "asleep_s": 60.0},
}


def test_a_request_is_given_the_start_that_it_was_served_by() -> None:
    """The first by the load, the second by the waking of the same instance."""
    entries = played(START, SLEEPER, [arrival(0, 0.0), arrival(1, 20.0)])
    found = explained(START, SLEEPER, entries)
    (first,), (second,) = found[0].starts, found[1].starts
    assert (first.woken, second.woken) == (False, True)
    assert first.instance == second.instance
    assert first.planned_at == 0.0
    assert second.planned_at == 20.0
    assert second.source == "DRAM of n0"
    assert second.load_s == pytest.approx(WAKE_S + 1.0)  # 40 bytes at 40 a second
    assert second.placement is not None
    assert second.placement.answer == "wake"


def test_phases_of_a_load_add_up_to_it() -> None:
    entries = played(START, "serverlessllm", [arrival(0, 0.0)])
    (begun,) = explained(START, "serverlessllm", entries)[0].starts
    assert begun.load_s is not None
    assert sum(seconds for _, seconds in begun.phases) == pytest.approx(begun.load_s)


def test_every_instance_that_served_has_a_start() -> None:
    start, policy, entries = journaled(3)
    for one in explained(start, policy, entries).values():
        served = any("sent to" in moment.what for moment in one.moments)
        assert bool(one.starts) == served
        for begun in one.starts:
            assert begun.placement is not None
            assert begun.placement.instance == begun.instance
            assert begun.started_at is None or begun.started_at >= begun.planned_at
