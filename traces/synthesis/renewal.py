"""Point processes on a clock of expected arrivals: how requests are spread over time.

Knows rates and coefficients of variation; does not know models, lengths or requests.

A renewal process with mean gap 1 is laid out in *operational time* and mapped back to seconds
through the inverse of `L(t)`, the integral of the wanted rate. Started in equilibrium it has
exactly `L(T)` expected points whatever its CV (Cox, Renewal Theory, 1962, ch. 2 and 5).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST_BLOCK = 1_000_000  # of gaps drawn at once
SINUSOID_PIECES_PER_PERIOD = 288  # five minutes of a day


@dataclass(frozen=True, slots=True)
class Intensity:
    """A rate over time by its integral: `expected[i]` arrivals before `edge_s[i]`, linear between.

    Both are float64 of shape (pieces + 1,), start at 0 and do not decrease; seconds and counts.
    """

    edge_s: Floats
    expected: Floats

    @property
    def span_s(self) -> float:
        return float(self.edge_s[-1])

    @property
    def total(self) -> float:
        """L(T): the arrivals expected in the whole span."""
        return float(self.expected[-1])

    def at(self, points: Floats) -> Floats:
        """Seconds at which so many arrivals are expected: the inverse of L."""
        return np.interp(points, self.expected, self.edge_s)

    def cut(self, span_s: float) -> "Intensity":
        """The same rate up to `span_s`, which must not lie beyond the last edge."""
        inside = self.edge_s < span_s
        edge_s = np.append(self.edge_s[inside], span_s)
        last = np.interp(span_s, self.edge_s, self.expected)
        return Intensity(edge_s, np.append(self.expected[inside], last))


def steady(rate_rps: float, span_s: float) -> Intensity:
    return Intensity(np.array([0.0, span_s]), np.array([0.0, rate_rps * span_s]))


def stepwise(rate_rps: Floats, window_s: float) -> Intensity:
    """A constant rate in each window; `rate_rps` has shape (windows,)."""
    edge_s = np.arange(len(rate_rps) + 1, dtype=np.float64) * window_s
    return Intensity(edge_s, np.append(0.0, np.cumsum(rate_rps * window_s)))


def repeated(rate_rps: Floats, window_s: float, span_s: float) -> Intensity:
    """A stepwise profile (24 hourly rates, say) repeated to fill `span_s`."""
    cycles = math.ceil(span_s / (window_s * len(rate_rps)))
    return stepwise(np.tile(rate_rps, cycles), window_s).cut(span_s)


def sinusoid(
    rate_rps: float, span_s: float, amplitude: float, period_s: float, peak_at_s: float
) -> Intensity:
    """rate * (1 + amplitude * cos(2 pi (t - peak) / period)), exact at every edge.

    `amplitude` lies in [0, 1]. The rate over the span differs from `rate_rps` unless the span is
    a whole number of periods.
    """
    pieces = max(1, math.ceil(span_s / period_s * SINUSOID_PIECES_PER_PERIOD))
    edge_s = np.linspace(0.0, span_s, pieces + 1)
    turn = 2 * math.pi / period_s
    wave = np.sin(turn * (edge_s - peak_at_s)) + math.sin(turn * peak_at_s)
    return Intensity(edge_s, rate_rps * (edge_s + amplitude / turn * wave))


def unit_points(rng: np.random.Generator, cv: float, until: float) -> Floats:
    """The points below `until` of an equilibrium Gamma renewal process with mean gap 1.

    Gaps are Gamma(shape 1/CV^2, scale CV^2). The first point is the forward recurrence time
    U * Gamma(1/CV^2 + 1, CV^2): a uniform part of the length-biased gap that covers time 0.
    """
    return gamma_points(rng, 1 / (cv * cv), until)


def gamma_points(rng: np.random.Generator, shape: float, until: float) -> Floats:
    """The same by the shape of the Gamma law, 1/CV^2."""
    scale = 1 / shape
    first = rng.random() * rng.gamma(shape + 1, scale)
    return _filled(lambda size: rng.gamma(shape, scale, size=size), scale, first, until)


def weibull_points(rng: np.random.Generator, shape: float, until: float) -> Floats:
    """The points below `until` of an equilibrium Weibull renewal process with mean gap 1.

    A gap is E^(1/shape) / Gamma(1 + 1/shape) with E exponential; the length-biased gap has E from
    Gamma(1 + 1/shape) instead, and the first point is a uniform part of it.
    """
    power = 1 / shape
    log_mean = math.lgamma(1 + power)
    spread = weibull_cv(shape) ** 2

    def gaps(exponential: Floats) -> Floats:
        made: Floats = np.exp(np.minimum(power * np.log(exponential) - log_mean, 700.0))
        return made

    first = float(rng.random() * gaps(np.array([rng.gamma(1 + power)]))[0])
    return _filled(lambda size: gaps(rng.standard_exponential(size)), spread, first, until)


def weibull_cv(shape: float) -> float:
    """sqrt(Gamma(1 + 2/shape) / Gamma(1 + 1/shape)^2 - 1), cut where it is beyond all use."""
    power = 1 / shape
    logarithm = math.lgamma(1 + 2 * power) - 2 * math.lgamma(1 + power)
    return math.sqrt(max(math.exp(min(logarithm, 50.0)) - 1, 0.0))


def equilibrium(rng: np.random.Generator, intensity: Intensity, cv: float) -> Floats:
    """Arrival seconds, ascending, with E[N(T)] = L(T) and Var N(T) ~ CV^2 L(T)."""
    return intensity.at(unit_points(rng, cv, intensity.total))


def per_window(rng: np.random.Generator, rate_rps: Floats, window_s: float, cv: float) -> Floats:
    """The generator common in the field, kept to be compared with: it is BIASED upwards.

    Every window starts a fresh renewal process with a gap at its start, as AlpaServe's
    (alpa-projects/mms) and dLoRA's trace code does. With a high CV most gaps are minute, so that
    a window holds `per_window_expectation(rate * window)` arrivals, not rate * window.
    """
    arrived: list[Floats] = [np.empty(0)]
    for window, rate in enumerate(rate_rps):
        mean = float(rate) * window_s
        if mean > 0:
            points = _points_from(rng, cv, rng.gamma(1 / cv**2, cv**2), mean)
            arrived.append((window + points / mean) * window_s)
    return np.concatenate(arrived)


def per_window_expectation(mean: float, cv: float) -> float:
    """Arrivals that `per_window` really yields in a window meant to hold `mean`.

    The renewal function of Gamma gaps: the sum over n of P(n k, k mean), k = 1/CV^2, where P is
    the regularised lower incomplete gamma function (Cox 1962, sec. 4.2).
    """
    k = 1 / (cv * cv)
    total = 0.0
    for n in range(1, 10_000_000):
        term = _lower_gamma(n * k, k * mean)
        total += term
        if term < 1e-12 * total:
            break
    return total


def _points_from(rng: np.random.Generator, cv: float, first: float, until: float) -> Floats:
    """`first` and then Gamma gaps, below `until`."""
    scale = cv * cv
    return _filled(lambda size: rng.gamma(1 / scale, scale, size=size), scale, first, until)


def _filled(
    draw_gaps: Callable[[int], Floats], variance: float, first: float, until: float
) -> Floats:
    """`first` and then gaps of mean 1, below `until`; in blocks, whose size changes nothing."""
    block = min(int(until + 4 * math.sqrt(variance * until)), LARGEST_BLOCK) + 16
    blocks = [np.array([first])]
    while blocks[-1][-1] < until:
        blocks.append(blocks[-1][-1] + np.cumsum(draw_gaps(block)))
    points = np.concatenate(blocks)
    kept: Floats = points[points < until]
    return kept


def _lower_gamma(a: float, x: float) -> float:
    """P(a, x) by its power series: x^a e^-x sum of x^i / Gamma(a + i + 1)."""
    if x <= 0:
        return 0.0
    term = math.exp(a * math.log(x) - x - math.lgamma(a + 1))
    total = term
    i = 0
    while term > 1e-16 * total:
        i += 1
        term *= x / (a + i)
        total += term
    return total
