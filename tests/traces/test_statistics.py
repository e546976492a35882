"""Intervals that cover, pairs that are told apart, orders that agree."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.streams import Streams
from traces.statistics import (
    Interval,
    benjamini_hochberg,
    compare,
    holm,
    kendall_tau,
    mean_interval,
    paired,
    t_test,
)


def normal_columns(n: int, trials: int, mean: float = 3.0) -> np.ndarray:
    return Streams(7).array("normal").normal(mean, 1.0, (trials, n))


@pytest.mark.parametrize("n", [5, 10, 30])
def test_about_95_of_100_intervals_cover_the_mean_of_normal_data(n: int) -> None:
    trials = 200
    covered = 0
    for trial, column in enumerate(normal_columns(n, trials)):
        found = mean_interval(column, f"trial {trial}")
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 3.0 <= found.high
    assert 0.89 <= covered / trials <= 0.995


def test_the_same_numbers_give_the_same_interval() -> None:
    column = normal_columns(10, 1)[0]
    assert mean_interval(column, "a") == mean_interval(column, "a")
    assert mean_interval(column, "a") != mean_interval(column, "b")


def test_few_seeds_have_a_mean_and_no_interval() -> None:
    assert mean_interval(np.array([1.0, 2.0])) == Interval(1.5, None, None, 2)
    assert mean_interval(np.array([np.nan])) is None


def test_pairing_finds_a_small_difference_under_large_noise_of_the_seed() -> None:
    luck = Streams(1).array("luck").normal(1000.0, 50.0, 10)
    jitter = Streams(2).array("jitter").normal(0.0, 0.1, 10)
    (pair,) = compare({"a": list(luck + 1 + jitter), "b": list(luck)}).pairs
    assert pair.real
    assert pair.difference.estimate == pytest.approx(1.0, abs=0.1)
    assert pair.difference.n == 10
    assert pair.ratio is not None
    assert pair.ratio.estimate == pytest.approx(1.001, abs=0.0005)


def test_equal_policies_differ_by_nothing_real() -> None:
    values = list(normal_columns(10, 1)[0])
    (pair,) = compare({"a": values, "b": values}).pairs
    assert (pair.difference.estimate, pair.p, pair.real) == (0.0, 1.0, False)


def test_a_constant_difference_is_real_even_without_spread() -> None:
    (pair,) = compare({"a": [2.0] * 6, "b": [1.0] * 6}).pairs
    assert (pair.real, pair.difference.low, pair.difference.high) == (True, 1.0, 1.0)


def test_holm_takes_back_what_only_many_tries_found() -> None:
    tries = normal_columns(10, 8, mean=0.0)
    comparison = compare({str(i): list(column) for i, column in enumerate(tries)})
    assert len(comparison.pairs) == 28
    assert any(pair.p is not None and pair.p < 0.05 for pair in comparison.pairs)
    assert not any(pair.real for pair in comparison.pairs)


def test_holm_multiplies_the_smallest_p_by_the_number_of_pairs() -> None:
    columns = normal_columns(8, 3)
    pairs = compare({str(i): list(column) for i, column in enumerate(columns)}).pairs
    (p0, first), (p1, second), (p2, third) = sorted(
        (pair.p, pair.p_holm) for pair in pairs if pair.p and pair.p_holm
    )
    assert first == pytest.approx(min(1.0, 3 * p0))
    assert second == pytest.approx(min(1.0, max(first, 2 * p1)))
    assert third == pytest.approx(max(second, p2))


def test_a_seed_that_measured_nothing_leaves_its_pair_out() -> None:
    (pair,) = compare({"a": [1.0, None, 3.0], "b": [1.0, 2.0, 4.0]}).pairs
    assert (pair.difference.n, pair.difference.estimate) == (2, -0.5)
    assert paired("a", "b", (np.array([np.nan]), np.array([1.0])), "none") is None


def test_a_ratio_of_what_may_be_zero_is_not_given() -> None:
    (pair,) = compare({"a": [1.0, 2.0], "b": [0.0, 2.0]}).pairs
    assert pair.ratio is None


def test_policies_with_different_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="same number"):
        compare({"a": [1.0], "b": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("t", "n", "p"),
    # Quantiles from any table of Student's t: 0.975 at 1, 4, 9 and 100 degrees of freedom.
    [(12.7062, 2, 0.05), (2.77645, 5, 0.05), (2.26216, 10, 0.05), (1.983972, 101, 0.05)],
)
def test_the_t_test_agrees_with_the_tables(t: float, n: int, p: float) -> None:
    spread = np.arange(n) - (n - 1) / 2
    sample = spread / spread.std(ddof=1) + t / math.sqrt(n)
    assert t_test(sample) == pytest.approx(p, rel=1e-4)


def test_kendalls_tau_by_hand() -> None:
    assert kendall_tau([1, 2, 3], [10, 20, 30]) == 1.0
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1.0
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 1, 1], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="cannot be compared"):
        kendall_tau([1], [1, 2])


@given(st.lists(st.integers(0, 5), min_size=2, max_size=8))
@settings(max_examples=50, deadline=None)
def test_every_order_agrees_with_itself_unless_all_is_tied(order: list[int]) -> None:
    expected = 1.0 if len(set(order)) > 1 else None
    assert kendall_tau(order, order) == (pytest.approx(expected) if expected else None)


def test_holm_multiplies_the_smallest_by_all_and_never_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_benjamini_hochberg_is_as_in_its_paper() -> None:
    """Their example: 15 tests of which four pass at 5 %, where Bonferroni passes three."""
    ps = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    ps += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert sum(p <= 0.05 for p in benjamini_hochberg(ps)) == 4
    assert benjamini_hochberg([0.04, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])


@given(st.lists(st.floats(0.0, 1.0), max_size=12))
def test_adjusted_p_values_keep_their_order_and_holm_is_the_stricter(ps: list[float]) -> None:
    strict, lenient = holm(ps), benjamini_hochberg(ps)
    for raw, bh, adjusted in zip(ps, lenient, strict, strict=True):
        assert raw <= bh <= adjusted + 1e-12
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [lenient[i] for i in order] == sorted(lenient)
    assert [strict[i] for i in order] == sorted(strict)
