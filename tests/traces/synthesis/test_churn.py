"""Adapters are born, used and retired at the rate asked for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.streams import Streams
from traces.synthesis.churn import draw_adapters
from traces.synthesis.popularity import Ints, zipf_exponent, zipf_shares


def first_day_share(adapter: Ints, day: Ints) -> tuple[float, int]:
    """Of uses after day 0 of one base: the share on their adapter's first day, and how many."""
    first = np.full(int(adapter.max()) + 1, day.max() + 1)
    np.minimum.at(first, adapter, day)
    later = day > 0
    return float((first[adapter] == day)[later].mean()), int(later.sum())


@pytest.mark.parametrize("churn", [0.05, 0.42, 0.9])
def test_the_wanted_share_of_uses_falls_on_the_first_day_of_their_adapter(churn: float) -> None:
    day = np.repeat(np.arange(40), 250)
    rng = Streams(1).array("churn")
    adapter = draw_adapters(rng, np.zeros_like(day), day, zipf_shares(30, 0.92), churn)
    share, uses = first_day_share(adapter, day)
    assert share == pytest.approx(churn, abs=4 * math.sqrt(churn * (1 - churn) / uses))


def test_adapters_are_born_over_time_and_retired_for_good() -> None:
    day = np.repeat(np.arange(30), 200)
    rng = Streams(2).array("life")
    adapter = draw_adapters(rng, np.zeros_like(day), day, zipf_shares(20, 0.92), 0.4)
    alive = [set(adapter[day == each].tolist()) for each in range(30)]
    assert max(alive[29]) > max(alive[10]) > max(alive[0])
    assert not alive[0] & alive[29]
    assert all(len(each) <= 20 for each in alive)


def test_without_churn_uses_are_zipf_draws_from_one_catalogue() -> None:
    day = np.repeat(np.arange(10), 10_000)
    rng = Streams(3).array("still")
    adapter = draw_adapters(rng, np.zeros_like(day), day, zipf_shares(25, 0.92), 0.0)
    assert adapter.max() < 25
    assert zipf_exponent(np.bincount(adapter)) == pytest.approx(0.92, abs=0.02)


@given(
    uses=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=60),
    slots=st.integers(2, 5),
    churn=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_day_of_a_base_uses_more_adapters_than_it_has_slots(
    uses: list[tuple[int, int]], slots: int, churn: float
) -> None:
    uses = sorted(uses, key=lambda use: use[1])
    base = np.array([use[0] for use in uses], dtype=np.int64)
    day = np.array([use[1] for use in uses], dtype=np.int64)
    rng = Streams(4).array("slots")
    adapter = draw_adapters(rng, base, day, zipf_shares(slots, 1.0), churn)
    assert (adapter >= 0).all()
    for key in set(uses):
        rows = (base == key[0]) & (day == key[1])
        assert len(set(adapter[rows].tolist())) <= slots
