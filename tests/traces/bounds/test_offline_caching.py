"""Bounds of caches against the best schedule there is, found by trying all of them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.bounds.offline_caching import Accesses, belady_hits, least_missed, most_saved


def best(accesses: Accesses, values: list[int]) -> int:
    """The least value that any schedule misses: every set of objects that could be kept, tried."""
    size = dict(zip(accesses.objects, accesses.sizes, strict=True))
    states: dict[frozenset[int], int] = {accesses.initial & frozenset(size): 0}
    for one, value in zip(accesses.objects, values, strict=True):
        after: dict[frozenset[int], int] = {}
        for kept, missed in states.items():
            cost = missed + (0 if one in kept else value)
            for state in subsets(kept | {one}):
                fits = sum(size[other] for other in state) <= accesses.capacity
                if fits and (accesses.bypass or one in state or size[one] > accesses.capacity):
                    after[state] = min(after.get(state, cost), cost)
        states = after
    return min(states.values())


def subsets(objects: frozenset[int]) -> list[frozenset[int]]:
    some = sorted(objects)
    return [frozenset(each) for n in range(len(some) + 1) for each in combinations(some, n)]


@st.composite
def caches(draw: st.DrawFn, *, equal: bool = False) -> Accesses:
    objects = draw(st.lists(st.integers(0, 4), min_size=1, max_size=12))
    capacity = draw(st.integers(1, 3 if equal else 7))
    sizes = [1 if equal else draw(st.integers(1, 4)) for _ in range(5)]
    lying: set[int] = set()
    for one in draw(st.sets(st.integers(0, 4))):
        if sum(sizes[other] for other in lying | {one}) <= capacity:
            lying.add(one)
    return Accesses(
        capacity, objects, [sizes[one] for one in objects], frozenset(lying), draw(st.booleans())
    )


def misses(accesses: Accesses) -> int:
    return int((~belady_hits(accesses)).sum())


@settings(max_examples=150, deadline=None)
@given(caches(equal=True))
def test_with_equal_sizes_belady_is_the_best_there_is(accesses: Accesses) -> None:
    assert misses(accesses) == best(accesses, [1] * len(accesses))


@settings(max_examples=150, deadline=None)
@given(caches())
def test_the_best_lies_between_the_bound_and_belady_by_size(accesses: Accesses) -> None:
    optimum = best(accesses, [1] * len(accesses))
    assert least_missed(accesses, np.ones(len(accesses))) <= optimum <= misses(accesses)


@settings(max_examples=100, deadline=None)
@given(caches(), st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_the_bound_holds_for_any_cost_of_a_miss(accesses: Accesses, costs: list[int]) -> None:
    values = costs[: len(accesses)]
    assert least_missed(accesses, np.array(values, np.float64)) <= best(accesses, values)


def test_a_loop_over_more_than_fits() -> None:
    """Three pages in turn through two frames: LRU never hits, two that stay hit all the time.

    Nine intervals of 3 accesses want 1, 2, 3, ... 3, 2, 1 frames and find 1, 2, ... 2, 1: room
    for 20 / 3 hits of the 12 accesses.
    """
    loop = Accesses(2, [0, 1, 2] * 4, [1] * 12)
    assert misses(loop) == 6
    assert least_missed(loop, np.ones(12)) == pytest.approx(12 - 20 / 3)


def test_a_cache_that_must_take_everything_misses_more() -> None:
    taken = Accesses(1, [0, 1, 0, 2, 0], [1] * 5, bypass=False)
    passed_over = Accesses(1, [0, 1, 0, 2, 0], [1] * 5)
    assert (misses(taken), misses(passed_over)) == (5, 3)


def test_what_is_larger_than_the_cache_never_hits() -> None:
    large = Accesses(2, [0, 0, 0], [3, 3, 3])
    assert misses(large) == 3
    assert least_missed(large, np.ones(3)) == pytest.approx(3.0)


def test_the_knapsack_takes_the_best_first_and_the_last_in_part() -> None:
    values, taken = np.array([6.0, 5.0, 1.0]), np.array([2.0, 5.0, 0.0])
    assert most_saved(values, taken, 4.5) == pytest.approx(1 + 6 + 5 * 2.5 / 5)
    assert most_saved(values, taken, 100.0) == pytest.approx(12.0)
    assert most_saved(values[:0], taken[:0], 1.0) == 0.0
