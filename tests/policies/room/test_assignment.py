"""The Hungarian method against every assignment there is."""

from itertools import permutations
from math import inf, isclose

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.room.assignment import least_sum

entries = st.one_of(st.integers(0, 20).map(float), st.just(inf))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_the_sum_is_the_least_of_all_assignments(
    rows: int, columns: int, data: st.DataObject
) -> None:
    row = st.lists(entries, min_size=columns, max_size=columns)
    cost = np.array(data.draw(st.lists(row, min_size=rows, max_size=rows)))
    every = (
        sum(float(cost[r, c]) for r, c in enumerate(chosen))
        for chosen in permutations(range(columns), rows)
    )
    least = min(every, default=inf)
    assert least_sum(cost) == least or isclose(least_sum(cost), least)


def test_the_cheapest_column_of_two_rows_goes_to_the_one_that_loses_more_without_it() -> None:
    assert least_sum(np.array([[1.0, 2.0], [1.0, 9.0]])) == 3.0


def test_no_rows_cost_nothing() -> None:
    assert least_sum(np.zeros((0, 3))) == 0.0
