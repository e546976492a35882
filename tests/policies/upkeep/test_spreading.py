"""The programme against an enumeration of every spread, and the way of one request at a time."""

from itertools import product
from math import inf, isclose

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.upkeep.spreading import Engine, Flows, Group, Spread

MODERATE = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def enumerated(spread: Spread) -> float:
    """The least time over every way to share out every group."""
    engines = len(spread.engines)
    ways = []
    for group in spread.groups:
        parts = product(range(group.requests + 1), repeat=engines)
        ways.append([part for part in parts if sum(part) == group.requests])
    return min(spread.slowest_s(np.array(flows, np.int64)) for flows in product(*ways))


@st.composite
def spreads(draw: st.DrawFn) -> Spread:
    engines = draw(st.integers(2, 3))
    groups = tuple(
        Group(
            draw(st.integers(-1, 2)),
            draw(st.integers(0, engines - 1)),
            draw(st.integers(1, 3)),
            float(draw(st.integers(1, 9))),
            float(draw(st.integers(0, 5))),
        )
        for _ in range(draw(st.integers(1, 3)))
    )
    each = Engine(draw(st.integers(6, 9)), 3, float(draw(st.integers(2, 12))), 2.0)
    return Spread(groups, (each,) * engines, 0.05)


@MODERATE
@given(spreads())
def test_the_programme_is_as_fast_as_the_best_of_all_spreads(spread: Spread) -> None:
    flows = spread.best(100_000)
    assert flows.sum(axis=1).tolist() == [g.requests for g in spread.groups]
    assert isclose(spread.slowest_s(flows), enumerated(spread), abs_tol=1e-6)


@MODERATE
@given(spreads())
def test_one_at_a_time_never_makes_it_slower(spread: Spread) -> None:
    flows = spread.one_by_one()
    assert flows.sum(axis=1).tolist() == [g.requests for g in spread.groups]
    assert spread.slowest_s(flows) <= spread.slowest_s(spread.stay())


def two(slots: int = 1) -> Spread:
    """Six requests of 10 s with one adapter on the first of two engines, and two of another."""
    groups = (Group(0, 0, 6, 10.0, 1.0), Group(1, 1, 2, 10.0, 1.0))
    return Spread(groups, (Engine(8, slots, 100.0, 1.0),) * 2, 0.05)


def flows_of(*rows: list[int]) -> Flows:
    return np.array(rows, np.int64)


def test_the_seconds_of_an_engine_are_those_left_those_for_moves_and_those_for_swaps() -> None:
    spread = two(2)
    assert isclose(spread.slowest_s(spread.stay()), 60.0)
    assert isclose(spread.slowest_s(flows_of([4, 2], [0, 2])), 40.0 + 2 * 0.05)
    tight = Spread(spread.groups, (Engine(8, 2, 3.0, 0.5),) * 2, 0.05)
    assert isclose(tight.slowest_s(tight.stay()), 60.0 + (6 - 3) / 0.5)


def test_an_adapter_moves_only_where_it_can_have_a_slot() -> None:
    assert two(1).slowest_s(flows_of([4, 2], [0, 2])) == inf
    assert two(1).best(1000).tolist() == [[6, 0], [0, 2]]
    assert two(2).best(1000).tolist() == [[4, 2], [0, 2]]
    assert two(2).one_by_one().tolist() == [[4, 2], [0, 2]]
