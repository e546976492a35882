"""Burstiness figures on arrivals whose answer is known."""

import numpy as np
import pytest

from fleet.streams import Streams
from traces.describing.burstiness import (
    cold_share,
    fano,
    interarrival_cv,
    peak_to_mean,
    weighted_cv,
    window_counts,
    window_cvs,
)
from traces.synthesis.renewal import equilibrium, sinusoid, steady


def test_even_gaps_have_no_variation_and_too_few_have_no_answer() -> None:
    assert interarrival_cv(np.linspace(0.0, 9.0, 10)) == pytest.approx(0.0)
    assert interarrival_cv(np.array([0.0, 1.0])) is None
    assert interarrival_cv(np.zeros(5)) is None


def test_gaps_of_one_and_three_have_half_as_cv() -> None:
    assert interarrival_cv(np.array([0.0, 1.0, 4.0, 5.0, 8.0])) == pytest.approx(0.5)


def test_the_weighted_cv_averages_labels_by_their_arrivals() -> None:
    even = np.arange(90, dtype=np.float64)
    uneven = np.cumsum(np.tile([1.0, 3.0], 15))
    uneven = np.append(0.0, uneven)[:30]
    arrivals = np.concatenate([even, uneven, [500.0]])
    labels = np.repeat([0, 1, 2], [90, 30, 1])
    order = np.argsort(arrivals, kind="stable")
    value, labels_that_count = weighted_cv(arrivals[order], labels[order])
    own = interarrival_cv(uneven)
    assert own is not None
    assert labels_that_count == 2
    assert value == pytest.approx(own * 30 / 120)
    assert weighted_cv(even[:5], np.zeros(5, dtype=int)) == (None, 0)


def test_only_whole_windows_count() -> None:
    counts, windows = window_counts(np.array([0.0, 0.5, 2.2, 3.4]), 1.0)
    assert windows == 3
    assert counts.tolist() == [2, 1]


def test_fano_and_peak_of_known_counts() -> None:
    arrivals = np.array([0.1, 0.2, 0.3, 0.4, 2.0])
    # The windows hold 4 and 0 arrivals: mean 2, variance 4.
    assert fano(arrivals, 1.0) == pytest.approx(2.0)
    assert peak_to_mean(arrivals, 1.0) == pytest.approx(2.0)
    assert fano(arrivals, 2.0) is None
    assert peak_to_mean(np.empty(0), 1.0) is None


def test_the_dispersion_of_gamma_gaps_tends_to_cv_squared() -> None:
    arrivals = equilibrium(Streams(1).array("fano"), steady(20.0, 100_000.0), 3.0)
    assert fano(arrivals, 100.0) == pytest.approx(9.0, rel=0.2)


def test_a_keep_alive_counts_gaps_of_its_own_label_only() -> None:
    arrivals = np.array([0.0, 5.0, 8.0, 60.0])
    labels = np.array([0, 1, 0, 1])
    assert cold_share(arrivals, labels, 10.0) == pytest.approx(3 / 4)
    assert cold_share(arrivals, labels, 55.0) == pytest.approx(2 / 4)
    assert cold_share(arrivals[:0], labels[:0], 1.0) is None


def test_the_cold_share_of_poisson_arrivals_is_exponential_in_the_keep_alive() -> None:
    arrivals = equilibrium(Streams(2).array("cold"), steady(0.1, 500_000.0), 1.0)
    labels = np.zeros(len(arrivals), dtype=np.int64)
    assert cold_share(arrivals, labels, 7.0) == pytest.approx(np.exp(-0.7), abs=0.01)


def test_windows_are_judged_apart_and_only_with_enough_arrivals() -> None:
    even = np.linspace(0.0, 9.0, 40)
    uneven = 20.0 + np.append(0.0, np.cumsum(np.tile([0.1, 0.3], 20)))[:40]
    cvs, starts_s = window_cvs(np.concatenate([even, [12.0], uneven]), 10.0)
    assert starts_s.tolist() == [0.0, 20.0]
    assert cvs == pytest.approx([0.0, 0.5], abs=0.01)


def test_a_slow_swing_of_the_rate_shows_in_the_whole_and_not_within_windows() -> None:
    wave = sinusoid(2.0, 40_000.0, 1.0, 20_000.0, 0.0)
    arrivals = equilibrium(Streams(3).array("wave"), wave, 1.0)
    whole = interarrival_cv(arrivals)
    within, _ = window_cvs(arrivals, 600.0)
    assert whole is not None
    assert whole > 1.5
    assert np.median(within) == pytest.approx(1.0, abs=0.05)
