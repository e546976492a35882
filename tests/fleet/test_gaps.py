"""Packed histograms: what goes in comes out, sums are sums, differences are differences."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.gaps import BINS, EDGES_S, add, bin_of, counts

RUNS = st.lists(st.tuples(st.floats(0.0, 500.0), st.integers(1, 10**6)), max_size=20)


def packed(runs: list[tuple[float, int]]) -> int:
    total = 0
    for gap_s, count in runs:
        total = add(total, gap_s, count)
    return total


@given(RUNS)
def test_every_gap_is_counted_once_in_its_bin(runs: list[tuple[float, int]]) -> None:
    expected = [0] * BINS
    for gap_s, count in runs:
        expected[bin_of(gap_s)] += count
    assert counts(packed(runs)) == expected


@given(RUNS, RUNS)
def test_what_was_added_since_is_a_subtraction(
    before: list[tuple[float, int]], after: list[tuple[float, int]]
) -> None:
    assert packed(before + after) - packed(before) == packed(after)


@given(st.floats(0.0, 500.0))
def test_a_gap_lies_between_the_edges_of_its_bin(gap_s: float) -> None:
    i = bin_of(gap_s)
    assert i == 0 or EDGES_S[i - 1] <= gap_s
    assert i == len(EDGES_S) or gap_s < EDGES_S[i]
