"""Markov-modulated Poisson processes: a rate that jumps between states of random length.

Knows rates and dwell times; does not know models, lengths or requests. Formulas: Fischer and
Meier-Hellstern, The Markov-modulated Poisson process (MMPP) cookbook, Performance Evaluation 18
(1993).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from traces.synthesis.renewal import Floats, Intensity


@dataclass(frozen=True, slots=True)
class Modulation:
    """Two states or more: requests a second in each, and its mean length in seconds.

    Both have shape (states,). A state lasts an exponential time; the next is any other, all as
    likely, so that each is entered as often and holds the share dwell / sum(dwell) of the time.
    """

    rate_rps: Floats
    dwell_s: Floats

    @property
    def shares(self) -> Floats:
        """Of the time, in each state."""
        shares: Floats = self.dwell_s / self.dwell_s.sum()
        return shares

    @property
    def mean_rps(self) -> float:
        return float(self.shares @ self.rate_rps)

    def scaled(self, mean_rps: float) -> "Modulation":
        """The same proportions at another mean rate."""
        return Modulation(self.rate_rps * (mean_rps / self.mean_rps), self.dwell_s)

    def generator(self) -> Floats:
        """The chain's rates of leaving and entering states, shape (states, states), 1/s."""
        states = len(self.dwell_s)
        leaving = 1 / self.dwell_s
        rates = np.repeat(leaving[:, None] / (states - 1), states, axis=1)
        np.fill_diagonal(rates, -leaving)
        return rates

    def dispersion(self, window_s: float = math.inf) -> float:
        """Variance over mean of the arrivals in a window; without one, its limit.

        Var N(t) = m t + 2 v (tI - D (I - e^(Qt))) D l, with m the mean rate, l the rates, v the
        shares times the rates, and D the deviation matrix of the chain Q. With two states that
        are left at rates s1 and s2, the limit is the cookbook's
        1 + 2 s1 s2 (l1 - l2)^2 / ((s1 + s2)^2 (l1 s2 + l2 s1)).
        """
        chain, shares = self.generator(), self.shares
        always = np.tile(shares, (len(shares), 1))
        deviation = np.linalg.inv(always - chain) - always
        weighted = shares * self.rate_rps
        slow = deviation @ self.rate_rps
        excess = float(weighted @ slow)
        if math.isfinite(window_s):
            values, vectors = np.linalg.eig(chain)
            decay = (vectors * np.exp(values * window_s)) @ np.linalg.inv(vectors)
            settled = deviation @ (np.eye(len(shares)) - decay.real)
            excess -= float(weighted @ settled @ slow) / window_s
        return 1 + 2 * excess / self.mean_rps


def modulated(rng: np.random.Generator, modulation: Modulation, span_s: float) -> Intensity:
    """The rate over a span, drawn; begun in equilibrium, its mean is `mean_rps` at any time.

    A first state's rest is as long as a whole one, for an exponential time has no memory.
    """
    states = len(modulation.dwell_s)
    state = int(rng.choice(states, p=modulation.shares))
    at_s, expected = 0.0, 0.0
    edges, counts = [0.0], [0.0]
    while at_s < span_s:
        lasted_s = min(float(rng.exponential(modulation.dwell_s[state])), span_s - at_s)
        at_s = span_s if at_s + lasted_s >= span_s else at_s + lasted_s
        expected += lasted_s * float(modulation.rate_rps[state])
        edges.append(at_s)
        counts.append(expected)
        state = (state + 1 + int(rng.integers(states - 1))) % states
    return Intensity(np.array(edges), np.array(counts))


def modulation_of(states: Sequence[tuple[float, float]]) -> Modulation:
    """From pairs of a rate and a dwell time."""
    rates, dwells_s = np.array(states, dtype=np.float64).T
    return Modulation(rates, dwells_s)
