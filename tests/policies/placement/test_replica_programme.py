"""The programme against every plan there is."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.placement.replica_programme import SUM_WEIGHT, replica_counts


def value(counts: tuple[int, ...] | list[int], worth: list[float]) -> float:
    shares = [n * w for n, w in zip(counts, worth, strict=True)]
    return min(shares) + SUM_WEIGHT * sum(shares)


def test_rates_of_three_and_one_on_eight_cards_get_six_and_two() -> None:
    assert replica_counts([1 / 3, 1.0], [1.0, 1.0], [8, 8], 8.0) == [6, 2]
    assert replica_counts([], [], [], 8.0) == []
    assert replica_counts([1.0], [2.0], [0], 1.0) == [0]


@settings(max_examples=60, deadline=None)
@given(
    worth=st.lists(st.sampled_from([0.25, 0.5, 1.0, 3.0]), min_size=1, max_size=3),
    gpus=st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=3, max_size=3),
    cards=st.integers(0, 6),
)
def test_no_plan_is_worth_more(worth: list[float], gpus: list[float], cards: int) -> None:
    gpus = gpus[: len(worth)]
    places = [int(cards / g) for g in gpus]
    found = replica_counts(worth, gpus, places, float(cards))
    assert sum(n * g for n, g in zip(found, gpus, strict=True)) <= cards
    others = (
        counts
        for counts in product(*(range(p + 1) for p in places))
        if sum(n * g for n, g in zip(counts, gpus, strict=True)) <= cards
    )
    best = max(value(counts, worth) for counts in others)
    assert value(found, worth) == pytest.approx(best, abs=1e-6)
