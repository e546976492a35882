"""Intervals from blocks of time: what they must contain, and when they say nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.streams import Streams
from traces.asked.block_bootstrap import FEWEST_BLOCKS, RANKS, Resampled, blocks_of, difference
from traces.record import Floats


def rng(name: str) -> np.random.Generator:
    return Streams(0).array(name)


def seconds(n: int) -> Floats:
    """0, 1, 2 and so on."""
    return np.arange(n, dtype=np.float64)


def walk(name: str, n: int, stays: float) -> Floats:
    """A stationary series in which each value keeps so much of the one before it."""
    noise = rng(name).normal(size=n)
    series = np.empty(n)
    series[0] = noise[0] / np.sqrt(1 - stays**2)
    for i in range(1, n):
        series[i] = stays * series[i - 1] + noise[i]
    return series


def test_blocks_are_of_equal_time_and_in_order() -> None:
    at = np.sort(rng("at").uniform(0.0, 640.0, 3000))
    blocks = blocks_of(at, rng("noise").normal(size=3000))
    assert (blocks.count, blocks.independent) == (64, True)
    assert blocks.each_s == pytest.approx(np.ptp(at) / 64)
    assert (np.diff(blocks.of) >= 0).all()
    assert set(blocks.of) == set(range(64))


def test_blocks_grow_while_their_neighbours_move_together() -> None:
    at = seconds(6400) * 0.1
    blocks = blocks_of(at, walk("slow", 6400, 0.995))
    assert blocks.count < 64


def test_a_trend_through_the_whole_run_is_said_to_be_dependent() -> None:
    at = seconds(1000)
    blocks = blocks_of(at, at)
    assert (blocks.count, blocks.independent) == (FEWEST_BLOCKS, False)


def test_too_few_blocks_have_no_bounds() -> None:
    at = np.repeat(np.array([0.0, 50.0, 100.0]), 10)
    resampled = Resampled(blocks_of(at, np.zeros(30)))
    found = resampled.interval(resampled.mean(seconds(30)))
    assert (found.estimate, found.low, found.high, found.n) == (14.5, None, None, 30)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 300), st.floats(0.0, 1.0))
def test_values_are_those_of_the_rows(seed: int, n: int, q: float) -> None:
    draws = np.random.default_rng(seed)
    column = np.where(draws.random(n) < 0.2, np.nan, draws.exponential(size=n))
    column[0] = 1.0
    resampled = Resampled(blocks_of(np.sort(draws.uniform(0, 100, n)), column))
    known = np.sort(column[~np.isnan(column)])
    assert resampled.value(resampled.mean(column)) == pytest.approx(known.mean())
    exact = np.quantile(known, q, method="inverted_cdf")
    assert resampled.value(resampled.quantile(column, q)) == pytest.approx(exact)


def test_a_quantile_of_many_values_is_right_to_its_ranks() -> None:
    n = 20 * RANKS
    column = rng("many").permutation(seconds(n))
    resampled = Resampled(blocks_of(seconds(n), column))
    assert resampled.value(resampled.quantile(column, 0.99)) == pytest.approx(
        0.99 * n, abs=n / RANKS
    )


def test_worlds_are_drawn_as_well_as_blocks() -> None:
    """Where worlds differ and blocks do not, blocks alone would claim to know the mean."""
    at = seconds(640)
    blocks = blocks_of(at, rng("noise").normal(size=640))
    levels = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]) * np.ones(640)
    resampled = Resampled(blocks, 5)
    found = resampled.interval(resampled.mean(levels))
    assert found.estimate == pytest.approx(2.0)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 1.0


@pytest.mark.parametrize("stays", [0.0, 0.8])
def test_intervals_cover_the_truth_of_dependent_series(stays: float) -> None:
    """Of 95 % intervals about 95 of 100 hold the mean, 0; between 86 and 100 is no accident."""
    held = 0
    for draw in range(100):
        series = walk(f"{stays}/{draw}", 1500, stays)
        resampled = Resampled(blocks_of(seconds(1500), series))
        found = resampled.interval(resampled.mean(series))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0 <= found.high
    assert held >= 86


def test_pairing_takes_out_what_both_sides_share() -> None:
    at = seconds(1000)
    shared = walk("shared", 1000, 0.5) * 10
    left, right = shared, shared + 1.0 + rng("own").normal(size=1000) * 0.1
    resampled = Resampled(blocks_of(at, right - left))
    alone = resampled.interval(resampled.mean(right))
    apart = resampled.interval(difference(resampled.mean(right), resampled.mean(left)))
    assert apart.low is not None
    assert apart.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert apart.low <= apart.estimate <= apart.high
    assert apart.estimate == pytest.approx(1.0, abs=0.02)
    assert apart.high - apart.low < (alone.high - alone.low) / 20


def test_what_nobody_knows_is_nan() -> None:
    resampled = Resampled(blocks_of(seconds(100), np.zeros(100)))
    nothing = np.full(100, np.nan)
    assert np.isnan(resampled.value(resampled.mean(nothing)))
    assert np.isnan(resampled.interval(resampled.quantile(nothing, 0.5)).estimate)
