"""Who is best at one measure in each cell of a grid, who cannot be told from it, and who is worse.

Seeds are paired within a cell. Every pair of policies of every cell is tested, and the tests of a
measure are corrected together, so that dozens of policies do not win by chance. Knows numbers and
names only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from traces.comparison import Measure
from traces.grids.grid import STEADY, GridRuns, Point, partly, unsettled
from traces.record import Floats
from traces.statistics import (
    LEVEL,
    Interval,
    benjamini_hochberg,
    excludes_0,
    interval,
    mean_interval,
    t_test,
)

CORRECTION: Final = "Benjamini and Hochberg"
Pair = frozenset[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """A policy in a cell. `mean` is None where it measured nothing, or never settled and the
    measure needs that; `note` says why, or what to be careful with."""

    policy: str
    mean: Interval | None
    settled: bool
    note: str


@dataclass(frozen=True, slots=True)
class Contest:
    """One measure in one cell. `standings`: the best mean first, those without one last.

    `tied` cannot be told from the best, `beaten` are worse for real: by the corrected paired test,
    and by the interval of the paired difference. `ps` are corrected, of all pairs that were tested.
    """

    cell: str
    measure: Measure
    standings: tuple[Standing, ...]
    best: str | None
    tied: tuple[str, ...]
    beaten: tuple[str, ...]
    ps: Mapping[Pair, float]
    seeds: int

    def standing(self, policy: str) -> Standing:
        return next(own for own in self.standings if own.policy == policy)

    def rank(self, policy: str) -> float:
        """1 for the best mean; those without one share the middle of the last places."""
        with_mean = [own.policy for own in self.standings if own.mean is not None]
        if policy in with_mean:
            return with_mean.index(policy) + 1.0
        return (len(with_mean) + 1 + len(self.standings)) / 2

    def real(self, one: str, other: str) -> bool:
        """Whether two policies differ by the corrected test alone."""
        return self.ps.get(frozenset((one, other)), 1.0) < 1 - LEVEL


def contests_of(runs: GridRuns, measure: Measure, tested: bool = True) -> list[Contest]:
    """A contest for each cell that has a seed of all its policies; untested, all are tied."""
    fields = {cell.name: _Field.of(runs.of(cell.name), measure) for cell in runs.study.cells}
    fields = {name: field for name, field in fields.items() if field.points}
    tests = [
        (name, pair, p)
        for name, field in fields.items()
        for pair, p in (field.tests() if tested else ())
    ]
    adjusted = benjamini_hochberg([p for _, _, p in tests])
    by_cell: dict[str, dict[Pair, float]] = {name: {} for name in fields}
    for (name, pair, _), p in zip(tests, adjusted, strict=True):
        by_cell[name][pair] = p
    return [_contest(name, field, by_cell[name]) for name, field in fields.items()]


@dataclass(frozen=True, slots=True)
class _Field:
    """The values of one measure in one cell: a column a policy that settled, a row a seed."""

    measure: Measure
    points: Mapping[str, Sequence[Point]]
    columns: Mapping[str, Floats]

    @classmethod
    def of(cls, points: Mapping[str, Sequence[Point]], measure: Measure) -> "_Field":
        steady = measure.path in STEADY
        columns = {
            policy: _column(own, measure)
            for policy, own in points.items()
            if not (steady and unsettled(own))
        }
        kept = {policy: own for policy, own in columns.items() if np.isfinite(own).any()}
        return cls(measure, points, kept)

    def tests(self) -> list[tuple[Pair, float]]:
        found = []
        for left, right in combinations(self.columns, 2):
            p = t_test(_apart(self.columns[left], self.columns[right]))
            if p is not None:
                found.append((frozenset((left, right)), p))
        return found


def _column(points: Sequence[Point], measure: Measure) -> Floats:
    values = [point.values.get(measure.path) for point in points]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _apart(left: Floats, right: Floats) -> Floats:
    """Paired differences over the seeds that measured both."""
    both = np.isfinite(left) & np.isfinite(right)
    apart: Floats = left[both] - right[both]
    return apart


def _contest(name: str, field: _Field, ps: Mapping[Pair, float]) -> Contest:
    standings = sorted(_standings(name, field), key=lambda own: _order(own, field.measure))
    seeds = len(next(iter(field.points.values())))
    ranked = [own.policy for own in standings if own.mean is not None]
    if not ranked:
        return Contest(name, field.measure, tuple(standings), None, (), (), ps, seeds)
    best, others = ranked[0], ranked[1:]
    beaten = tuple(other for other in others if _beaten(name, field, (best, other), ps))
    tied = tuple(other for other in others if other not in beaten)
    return Contest(name, field.measure, tuple(standings), best, tied, beaten, ps, seeds)


def _standings(name: str, field: _Field) -> list[Standing]:
    found = []
    for policy, points in field.points.items():
        column = field.columns.get(policy)
        never = unsettled(points)
        note = never or partly(points) or ("" if column is not None else "not measured")
        stream = f"grid/{name}/{field.measure.path}/{policy}"
        mean = None if column is None else mean_interval(column, stream)
        found.append(Standing(policy, mean, not never, note))
    return found


def _order(own: Standing, measure: Measure) -> tuple[bool, float]:
    if own.mean is None:
        return True, 0.0
    return False, own.mean.estimate * (1 if measure.better == "lower" else -1)


def _beaten(name: str, field: _Field, pair: tuple[str, str], ps: Mapping[Pair, float]) -> bool:
    if ps.get(frozenset(pair), 1.0) >= 1 - LEVEL:
        return False
    apart = _apart(field.columns[pair[0]], field.columns[pair[1]])
    stream = f"grid/{name}/{field.measure.path}/{pair[0]}/{pair[1]}"
    return excludes_0(interval(apart, lambda sample: sample.mean(axis=-1), stream))


def closeness(contest: Contest) -> Mapping[str, float]:
    """Of every policy with a number: 1 is the best of the cell, 0 the worst."""
    means = {own.policy: own.mean.estimate for own in contest.standings if own.mean is not None}
    ends = min(means.values(), default=0.0), max(means.values(), default=0.0)
    if ends[0] == ends[1]:
        return dict.fromkeys(means, 1.0)
    up = contest.measure.better == "higher"
    in_ratio = not contest.measure.percent and ends[0] > 0
    scale = np.log if in_ratio else float
    low, high = float(scale(ends[0])), float(scale(ends[1]))
    shares = {name: (float(scale(own)) - low) / (high - low) for name, own in means.items()}
    return shares if up else {name: 1 - share for name, share in shares.items()}
