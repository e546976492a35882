"""Point processes against renewal theory."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.streams import Streams
from traces.synthesis.renewal import (
    Intensity,
    equilibrium,
    per_window,
    per_window_expectation,
    repeated,
    sinusoid,
    steady,
    stepwise,
    unit_points,
    weibull_points,
)


def counts_of(cv: float, mean: float, runs: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rng = Streams(1).array("renewal")
    return np.array([len(unit_points(rng, cv, mean)) for _ in range(runs)], dtype=np.float64)


@pytest.mark.parametrize(("cv", "mean"), [(0.3, 5.0), (1.0, 20.0), (4.0, 7.0), (8.0, 1.0)])
def test_an_equilibrium_process_holds_exactly_its_expectation(cv: float, mean: float) -> None:
    counts = counts_of(cv, mean, 8000)
    error = counts.std() / math.sqrt(len(counts))
    assert counts.mean() == pytest.approx(mean, abs=4 * error)


@pytest.mark.parametrize(("cv", "mean"), [(0.5, 400.0), (1.0, 200.0), (4.0, 4000.0)])
def test_the_variance_of_the_count_tends_to_cv_squared_times_its_mean(
    cv: float, mean: float
) -> None:
    counts = counts_of(cv, mean, 3000)
    # The relative error of a variance of n nearly normal values is sqrt(2 / n), here 2.6 %.
    assert counts.var() / mean == pytest.approx(cv * cv, rel=0.12)


def test_poisson_arrivals_have_an_index_of_dispersion_of_one_in_any_window() -> None:
    arrivals = equilibrium(Streams(2).array("poisson"), steady(20.0, 2000.0), 1.0)
    for window_s in (0.1, 1.0, 4.0):
        counts = np.bincount((arrivals / window_s).astype(int), minlength=int(2000 / window_s))
        error = math.sqrt(2 / len(counts))
        assert counts.var() / counts.mean() == pytest.approx(1.0, abs=5 * error)


def test_the_gaps_have_the_cv_asked_for() -> None:
    for cv in (0.5, 1.0, 4.0):
        gaps = np.diff(unit_points(Streams(3).array(f"gaps/{cv}"), cv, 200_000.0))
        assert gaps.mean() == pytest.approx(1.0, rel=0.05)
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_fresh_processes_per_window_yield_sixteen_arrivals_where_one_is_wanted() -> None:
    """The renewal function of Gamma gaps at CV 8: a mean of 1 per window becomes 15.9."""
    rates = np.full(10_000, 1 / 60)
    arrivals = per_window(Streams(4).array("biased"), rates, 60.0, 8.0)
    counts = np.bincount((arrivals / 60).astype(int), minlength=len(rates))
    error = counts.std() / math.sqrt(len(counts))
    expected = per_window_expectation(1.0, 8.0)
    assert expected == pytest.approx(15.9, abs=0.05)
    assert counts.mean() == pytest.approx(expected, abs=4 * error)


def test_the_equilibrium_process_is_unbiased_where_the_per_window_one_is_not() -> None:
    """The same windows: 1 expected in each, over many spans of 20 windows."""
    rates = np.full(20, 1 / 60)
    rng = Streams(5).array("pair")
    fair = np.array([len(equilibrium(rng, stepwise(rates, 60.0), 8.0)) for _ in range(4000)])
    biased = np.array([len(per_window(rng, rates, 60.0, 8.0)) for _ in range(300)])
    error = fair.std() / math.sqrt(len(fair))
    assert fair.mean() == pytest.approx(20.0, abs=4 * error)
    assert biased.mean() > 10 * 20.0


def test_fresh_poisson_processes_are_not_biased() -> None:
    assert per_window_expectation(3.0, 1.0) == pytest.approx(3.0)


def test_the_bias_tends_to_half_of_cv_squared_less_one() -> None:
    """The ordinary renewal function is m(t) -> t + (CV^2 - 1) / 2."""
    assert per_window_expectation(2000.0, 4.0) == pytest.approx(2000 + 7.5, abs=0.01)


def test_arrivals_follow_the_rate_of_each_window() -> None:
    rates = np.array([1.0, 0.0, 4.0])
    arrivals = equilibrium(Streams(6).array("steps"), stepwise(rates, 2000.0), 1.0)
    counts = np.bincount((arrivals / 2000).astype(int), minlength=3)
    assert counts[1] == 0
    for window in (0, 2):
        expected = rates[window] * 2000
        assert counts[window] == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_a_sinusoid_holds_its_mean_over_whole_periods_and_peaks_where_told() -> None:
    wave = sinusoid(2.0, 86_400.0, 0.5, 86_400.0, 50_400.0)
    rate = np.diff(wave.expected) / np.diff(wave.edge_s)
    assert wave.total == pytest.approx(2.0 * 86_400)
    assert rate.max() == pytest.approx(3.0, rel=1e-3)
    assert rate.min() == pytest.approx(1.0, rel=1e-3)
    assert wave.edge_s[rate.argmax()] == pytest.approx(50_400.0, abs=300)


def test_a_profile_repeats_and_is_cut_at_the_span() -> None:
    profile = repeated(np.array([1.0, 3.0]), 10.0, 35.0)
    assert profile.span_s == 35.0
    assert profile.total == pytest.approx(10 + 30 + 10 + 15)


@given(
    rates=st.lists(st.floats(0, 50), min_size=1, max_size=6),
    cv=st.floats(0.1, 8),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_arrivals_are_sorted_within_the_span_and_never_in_an_empty_window(
    rates: list[float], cv: float, seed: int
) -> None:
    intensity = stepwise(np.array(rates), 3.0)
    arrivals = equilibrium(Streams(seed).array("x"), intensity, cv)
    assert (np.diff(arrivals) >= 0).all()
    assert ((arrivals >= 0) & (arrivals <= intensity.span_s)).all()
    inside = np.interp(arrivals, intensity.edge_s, intensity.expected)
    assert (inside <= intensity.total * (1 + 1e-9)).all()
    if intensity.total == 0:
        assert not len(arrivals)


def test_mapping_back_inverts_the_integral_of_the_rate() -> None:
    intensity = Intensity(np.array([0.0, 2.0, 6.0]), np.array([0.0, 8.0, 10.0]))
    assert intensity.at(np.array([4.0, 8.0, 9.0])).tolist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(("shape", "mean"), [(0.5, 4.0), (1.0, 4.0), (2.5, 3.0)])
def test_weibull_gaps_in_equilibrium_hold_their_expectation_too(shape: float, mean: float) -> None:
    rng = Streams(9).array("weibull")
    counts = np.array([len(weibull_points(rng, shape, mean)) for _ in range(8000)])
    assert counts.mean() == pytest.approx(mean, abs=4 * counts.std() / math.sqrt(len(counts)))


def test_weibull_gaps_have_their_law() -> None:
    gaps = np.diff(weibull_points(Streams(9).array("gaps"), 0.5, 100_000.0))
    assert gaps.mean() == pytest.approx(1.0, rel=0.03)
    # Of shape 1/2 and mean 1: P(gap > x) = exp(-sqrt(2 x)).
    for x in (0.1, 1.0, 4.0):
        assert (gaps > x).mean() == pytest.approx(math.exp(-math.sqrt(2 * x)), abs=0.01)


def test_a_weibull_law_of_a_minute_shape_stays_finite_work() -> None:
    points = weibull_points(Streams(9).array("minute"), 0.001, 5.0)
    assert len(points) == 0 or points[-1] < 5.0
