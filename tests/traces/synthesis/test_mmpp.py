"""Markov-modulated Poisson processes against their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.streams import Streams
from traces.synthesis.mmpp import Modulation, modulated, modulation_of
from traces.synthesis.recipe import Mmpp, MmppState
from traces.synthesis.renewal import equilibrium
from traces.synthesis.synth import stream

TWO = modulation_of([(1.0, 60.0), (20.0, 5.0)])


def two_state_dispersion(states: Modulation, window_s: float) -> float:
    """Fischer and Meier-Hellstern, 1993: the index of dispersion for counts of two states."""
    s1, s2 = 1 / states.dwell_s
    l1, l2 = states.rate_rps
    s = s1 + s2
    limit = 2 * s1 * s2 * (l1 - l2) ** 2 / (s**2 * (l1 * s2 + l2 * s1))
    return float(1 + limit - limit / (s * window_s) * (1 - math.exp(-s * window_s)))


@given(
    states=st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.1, 1000)), min_size=2, max_size=2),
    window_s=st.floats(0.01, 10_000),
)
@settings(max_examples=50, deadline=None)
def test_the_dispersion_of_two_states_is_the_closed_form(
    states: list[tuple[float, float]], window_s: float
) -> None:
    both = modulation_of(states)
    expected = two_state_dispersion(both, window_s)
    assert both.dispersion(window_s) == pytest.approx(expected, rel=1e-6)


def test_the_mean_rate_weighs_states_by_their_time() -> None:
    assert TWO.shares.tolist() == pytest.approx([60 / 65, 5 / 65])
    assert TWO.mean_rps == pytest.approx((60 + 100) / 65)
    assert TWO.scaled(3.0).mean_rps == pytest.approx(3.0)
    # More arrivals from the same states: the excess over 1 grows with the rate.
    excess = TWO.dispersion() - 1
    assert TWO.scaled(2 * TWO.mean_rps).dispersion() - 1 == pytest.approx(2 * excess)


def test_one_rate_in_every_state_is_poisson() -> None:
    assert modulation_of([(3.0, 10.0), (3.0, 500.0), (3.0, 1.0)]).dispersion() == pytest.approx(1)


@pytest.mark.parametrize("states", [TWO, modulation_of([(0.0, 30.0), (4.0, 10.0), (12.0, 5.0)])])
def test_arrivals_have_the_mean_and_dispersion_of_their_states(states: Modulation) -> None:
    """In windows of 20 s cut out of one long run, and of the run's very beginning."""
    window_s, windows = 20.0, 40_000
    rng = Streams(5).array("mmpp")
    arrivals = equilibrium(rng, modulated(rng, states, window_s * windows), 1.0)
    counts = np.bincount((arrivals / window_s).astype(int), minlength=windows)
    mean = states.mean_rps * window_s
    long_run_error = math.sqrt(states.dispersion() * mean / windows)
    assert counts.mean() == pytest.approx(mean, abs=4 * long_run_error)
    assert counts.var() / counts.mean() == pytest.approx(states.dispersion(window_s), rel=0.05)


def test_a_run_begins_in_equilibrium() -> None:
    """The first second of many short runs has the mean rate, not the first state's."""
    rng = Streams(6).array("beginnings")
    firsts = np.array([modulated(rng, TWO, 1.0).total for _ in range(20_000)])
    assert firsts.mean() == pytest.approx(TWO.mean_rps, abs=4 * firsts.std() / math.sqrt(20_000))


def test_a_recipe_is_scaled_to_its_rate_and_notes_its_dispersion() -> None:
    states = (MmppState(1.0, 60.0), MmppState(20.0, 5.0))
    sizes = [
        len(stream(Mmpp(rate_rps=4.0, span_s=2000.0, states=states, seed=s))) for s in range(40)
    ]
    error = float(np.std(sizes)) / math.sqrt(len(sizes))
    assert np.mean(sizes) == pytest.approx(8000, abs=4 * error)
    said = stream(Mmpp(states=states)).meta.notes["dispersion"]
    assert said.startswith(f"variance over mean of counts {TWO.scaled(1).dispersion():.4g}")
