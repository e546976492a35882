"""The largest load at which a share of requests meets its objective, found by bisection.

It says which load to probe next and what the probes add up to. It runs nothing: a probe is numbers
of paired seeds at one load.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from traces.numerals import number
from traces.record import Floats
from traces.statistics import Interval, excludes_0, interval, mean_interval

DIGITS: Final = 4  # of a probed load: its name in files and tables is its value


class Search(msgspec.Struct, frozen=True):
    """Probe until the bracket's ends are within `tolerance` of each other, as a share.

    The first probe is at `first`; the bracket doubles up to `most`, or halves down to `least`.
    """

    target: float = 0.99
    tolerance: float = 0.05
    first: float = 1.0
    least: float = 1 / 64
    most: float = 64.0

    def __post_init__(self) -> None:
        if not 0 < self.target <= 1:
            raise ValueError(f"target is {self.target!r}; it must be a share above 0, at most 1")
        if not 0.001 <= self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance!r}; it must be 0.001 or more, below 1")
        if not 0 < self.least <= self.first <= self.most < math.inf:
            raise ValueError(
                f"first is {self.first:g}; it must lie between {self.least:g} and {self.most:g}"
            )


class Probe(msgspec.Struct, frozen=True):
    """All seeds at one load: attainment by seed, shares of arrived requests; and who saturated.

    `in_words` says how the queue grew.
    """

    load: float
    attainment: tuple[float, ...]
    saturated: int
    in_words: str = ""

    @property
    def settled(self) -> bool:
        """Most seeds did; else a longer run would attain less."""
        return 2 * self.saturated <= len(self.attainment)

    @property
    def mean(self) -> Interval:
        found = mean_interval(np.array(self.attainment), f"probe/{self.load:g}")
        assert found is not None, "a probe has a seed"
        return found

    def passed(self, target: float) -> bool:
        return self.settled and float(np.mean(self.attainment)) >= target

    def sure(self, target: float) -> bool:
        """Whether the interval of the mean lies on one side of the target."""
        mean = self.mean
        if mean.low is None or mean.high is None:
            return False
        return mean.low >= target or mean.high < target


class Capacity(msgspec.Struct, frozen=True):
    """What a policy's probes add up to.

    `load` is where the mean attainment over seeds crosses the target, read off between the ends of
    the bracket on a logarithmic scale, with a bootstrap interval over seeds; None with a `reason`
    where no probe passed or none failed. `by_seed` are the seeds' own crossings, held at the
    outermost probes (`at_an_end` of them).
    """

    load: Interval | None
    bracket: tuple[float | None, float | None]
    rate_rps: float | None
    by_seed: tuple[float, ...]
    at_an_end: int
    reason: str
    remarks: tuple[str, ...]
    probes: tuple[Probe, ...]


def next_load(probes: Sequence[Probe], search: Search) -> float | None:
    """Where to probe next; None where it is over."""
    if not probes:
        return search.first
    low, high = bracket(probes, search.target)
    if high is None:
        up = 2 * max(probe.load for probe in probes)
        return _rounded(up) if up <= search.most else None
    if low is None:
        down = min(probe.load for probe in probes) / 2
        return _rounded(down) if down >= search.least else None
    middle = _rounded(math.sqrt(low * high))
    within = high <= low * (1 + search.tolerance)
    return None if within or not low < middle < high else middle


def _rounded(load: float) -> float:
    return float(f"{load:.{DIGITS}g}")


def bracket(probes: Sequence[Probe], target: float) -> tuple[float | None, float | None]:
    """The largest load below which every probe passed, and the least that did not."""
    high = min((probe.load for probe in probes if not probe.passed(target)), default=None)
    passed = [probe.load for probe in probes if high is None or probe.load < high]
    return max(passed, default=None), high


def capacity_of(probes: Sequence[Probe], search: Search, rate_rps: float | None) -> Capacity:
    """`rate_rps` is the workload's own, at load 1. Raises ValueError without a probe."""
    if not probes:
        raise ValueError("a capacity needs a probe")
    ordered = sorted(probes, key=lambda probe: probe.load)
    ends = bracket(ordered, search.target)
    shares = _shares(ordered, search.target)
    loads = np.array([probe.load for probe in ordered])
    by_seed = _crossings(shares[:, None, :], loads, search.target)
    at_an_end = int(((by_seed <= loads[0]) | (by_seed >= loads[-1])).sum())
    reason = _reason(ordered, ends, search.target)
    estimate = None
    if not reason:
        estimate = interval(shares, lambda rows: _crossings(rows, loads, search.target), "capacity")
    return Capacity(
        load=estimate,
        bracket=ends,
        rate_rps=None if estimate is None or not rate_rps else rate_rps * estimate.estimate,
        by_seed=tuple(float(own) for own in by_seed),
        at_an_end=at_an_end,
        reason=reason,
        remarks=tuple(_remarks(ordered, search.target)),
        probes=tuple(ordered),
    )


def _shares(probes: Sequence[Probe], target: float) -> Floats:
    """Attainment, shape (seeds, probes); at a load that never settled it counts as a miss."""
    columns = [
        np.array(probe.attainment)
        if probe.settled
        else np.minimum(probe.attainment, np.nextafter(target, 0.0))
        for probe in probes
    ]
    return np.stack(columns, axis=1)


def _crossings(shares: Floats, loads: Floats, target: float) -> Floats:
    """Where the mean over seeds first falls below the target, shape (...) of (..., seeds, probes).

    Linear in the logarithm of the load between the probes around it; the outermost probe where all
    pass, or none does.
    """
    means = shares.mean(axis=-2)
    fails = means < target
    first = np.where(fails.any(axis=-1), fails.argmax(axis=-1), len(loads))
    right = np.clip(first, 1, max(len(loads) - 1, 1)) if len(loads) > 1 else np.zeros_like(first)
    left = np.maximum(right - 1, 0)
    above = np.take_along_axis(means, left[..., None], -1)[..., 0]
    below = np.take_along_axis(means, right[..., None], -1)[..., 0]
    fall = above - below
    part = np.clip((above - target) / np.where(fall > 0, fall, 1.0), 0.0, 1.0)
    logs = np.log(loads)
    inside: Floats = np.exp(logs[left] + part * (logs[right] - logs[left]))
    inside = np.where(first == 0, loads[0], inside)
    crossing: Floats = np.where(first == len(loads), loads[-1], inside)
    return crossing


def _reason(probes: Sequence[Probe], ends: tuple[float | None, float | None], target: float) -> str:
    least, most = probes[0], probes[-1]
    if ends[1] is None:
        return (
            f"not reached: {100 * target:g} % are met up to {most.load:g}, the most that was tried"
        )
    if ends[0] is None:
        how = f"{100 * float(np.mean(least.attainment)):.1f} % met it"
        if not least.settled:
            how += f", {least.in_words}"
        return f"missed even at {least.load:g}, the least that was tried: {how}"
    return ""


def _remarks(probes: Sequence[Probe], target: float) -> list[str]:
    """What makes the answer less certain than its interval."""
    found = []
    for lower, upper in pairwise(probes):
        if len(lower.attainment) != len(upper.attainment):
            continue
        rise = mean_interval(np.subtract(upper.attainment, lower.attainment), "rise")
        if rise is not None and rise.estimate > 0 and excludes_0(rise):
            found.append(
                f"not monotone: {100 * rise.estimate:.1f} points more meet it at {upper.load:g} "
                f"than at {lower.load:g}"
            )
    again = [p.load for p in probes if p.passed(target) and p.load > _first_failure(probes, target)]
    if again:
        found.append(f"not monotone: it is met again at {', '.join(f'{x:g}' for x in again)}")
    saturated = [p for p in probes if not p.settled and float(np.mean(p.attainment)) >= target]
    if saturated:
        found.append(
            f"at {saturated[0].load:g} the objective was met but the queue never settled: "
            f"{saturated[0].in_words}; that load counts as missed"
        )
    return found


def _first_failure(probes: Sequence[Probe], target: float) -> float:
    return min((p.load for p in probes if not p.passed(target)), default=math.inf)


def shown(capacity: Capacity) -> str:
    """ "1.23 [1.1, 1.4]", or why there is none."""
    if capacity.load is None:
        return capacity.reason
    text = number(capacity.load.estimate)
    if capacity.load.low is not None and capacity.load.high is not None:
        text += f" [{number(capacity.load.low)}, {number(capacity.load.high)}]"
    return text
