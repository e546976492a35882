"""Intervals for numbers of one run, whose requests depend on each other: blocks of time are drawn.

A request waits because of those before it, so single requests must not be resampled as if they were
independent. The run is cut into blocks of equal duration and whole blocks are drawn (Künsch 1989,
Annals of Statistics 17, 1217-1241, with blocks that do not overlap: Carlstein 1986, ibid. 14,
1171-1179). With several worlds (seeds) the worlds are drawn as well, independently of the blocks
(Owen 2007, Annals of Applied Statistics 1, 386-411). Knows columns, not what they measure.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final

import msgspec
import numpy as np

from fleet.streams import Streams
from traces.record import Bools, Floats, Ints
from traces.statistics import LEVEL, Interval

RESAMPLES: Final = 2000
#: Values that a quantile tells apart; more are taken together by rank.
RANKS: Final = 4096
MOST_BLOCKS: Final = 64
#: Fewer blocks say nothing about the spread between blocks.
FEWEST_BLOCKS: Final = 16

#: From weights of cells (a block in a world), shape (resamples, cells), to a number for each.
Statistic = Callable[[Floats], Floats]


class Blocks(msgspec.Struct, frozen=True):
    """`of` says in which block each of n requests arrived; `each_s` is how long a block is.

    `correlation` is that of the neighbouring blocks' sums; `independent` where it is small.
    """

    of: Ints
    count: int
    each_s: float
    correlation: float
    independent: bool


def blocks_of(arrived_at: Floats, series: Floats) -> Blocks:
    """Blocks long enough that neighbours are no longer correlated in `series`, shape (n,).

    Halves the number of blocks, from 64, while the correlation of neighbours is above 2 / sqrt(m);
    16 are kept at least. A nan counts as the mean.
    """
    begin, span_s = float(arrived_at.min()), float(np.ptp(arrived_at))
    apart = np.where(np.isnan(series), 0.0, series - np.nanmean(series))
    count = MOST_BLOCKS
    while True:
        share = (arrived_at - begin) / span_s if span_s > 0 else np.zeros(len(arrived_at))
        of = np.minimum((share * count).astype(np.int64), count - 1)
        correlation = _neighbours(np.bincount(of, apart, count).astype(np.float64))
        independent = correlation <= 2 / math.sqrt(count)
        if independent or count <= FEWEST_BLOCKS:
            return Blocks(of, count, span_s / count, correlation, independent)
        count //= 2


def _neighbours(sums: Floats) -> float:
    """Correlation of each with the one after it; 0 where nothing varies."""
    apart = sums - sums.mean()
    square = float(apart @ apart)
    return float(apart[:-1] @ apart[1:]) / square if square > 0 else 0.0


class Resampled:
    """`RESAMPLES` draws of blocks and worlds, the same ones for every statistic.

    Columns have shape (worlds, n); nan is unknown and counts nowhere.
    """

    def __init__(self, blocks: Blocks, worlds: int = 1) -> None:
        rng = Streams(0).array("block bootstrap")
        occupied, of = np.unique(blocks.of, return_inverse=True)
        self.blocks = len(occupied)
        self._cells = worlds * self.blocks
        self._cell_of: Ints = (np.arange(worlds)[:, None] * self.blocks + of).ravel()
        drawn = _draws(rng, worlds)[:, :, None] * _draws(rng, self.blocks)[:, None, :]
        self._weights: Floats = drawn.reshape(RESAMPLES, self._cells)

    def value(self, statistic: Statistic) -> float:
        """Of the rows as they are; nan where none is known."""
        return float(statistic(np.ones((1, self._cells)))[0])

    def interval(self, statistic: Statistic) -> Interval:
        """The statistic and its percentile bounds at 95 %; None bounds of too few blocks.

        The tails are widened for few blocks, as Hesterberg (2015, The American Statistician 69,
        371-386) does for few observations.
        """
        n, estimate = len(self._cell_of), self.value(statistic)
        if self.blocks < FEWEST_BLOCKS or not math.isfinite(estimate):
            return Interval(estimate, None, None, n)
        tail = _tail(self.blocks)
        low, high = np.nanquantile(statistic(self._weights), [tail, 1 - tail])
        return Interval(estimate, float(low), float(high), n)

    def mean(self, column: Floats) -> Statistic:
        """The mean of a column's known values."""
        known, cells = self._known(column)
        sums = np.bincount(cells, column.ravel()[known], self._cells)
        counts = np.bincount(cells, minlength=self._cells).astype(np.float64)

        def statistic(weights: Floats) -> Floats:
            total = weights @ counts
            means: Floats = np.full(len(total), np.nan)
            np.divide(weights @ sums, total, out=means, where=total > 0)
            return means

        return statistic

    def quantile(self, column: Floats, q: float) -> Statistic:
        """The least known value with at least a share `q` of the weight at or below it.

        Exact for `RANKS` known values or fewer; with more, to a share of 1 / RANKS in `q`.
        """
        known, cells = self._known(column)
        values = column.ravel()[known]
        order = np.argsort(values, kind="stable")
        ranks = min(len(values), RANKS)
        bins = np.arange(len(values)) * ranks // max(len(values), 1)
        highest = values[order][np.searchsorted(bins, np.arange(ranks), side="right") - 1]
        counts = np.bincount(cells[order] * ranks + bins, minlength=self._cells * ranks)
        by_cell = counts.reshape(self._cells, ranks).astype(np.float64)

        def statistic(weights: Floats) -> Floats:
            if not ranks:
                return np.full(len(weights), np.nan)
            reached = np.cumsum(weights @ by_cell, axis=1)
            # Rounding must not push the last one out of reach.
            enough = reached >= q * reached[:, -1:] * (1 - 1e-12)
            found = highest[np.argmax(enough, axis=1)]
            return np.where(reached[:, -1] > 0, found, np.nan)

        return statistic

    def _known(self, column: Floats) -> tuple[Bools, Ints]:
        """Which rows have a value, and the cells of those."""
        known = ~np.isnan(column.ravel())
        return known, self._cell_of[known]


def difference(right: Statistic, left: Statistic) -> Statistic:
    """right - left on the same rows: paired."""
    return lambda weights: right(weights) - left(weights)


def _draws(rng: np.random.Generator, count: int) -> Floats:
    """How often each of `count` was drawn, `count` times with replacement, by resample."""
    return rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)


def _tail(blocks: int) -> float:
    """The percentile of the lower bound: that of sqrt(m / (m - 1)) t(m - 1) in normal terms.

    Student's quantile by its expansion, Abramowitz and Stegun 26.7.5.
    """
    normal = NormalDist()
    z, freedom = normal.inv_cdf((1 + LEVEL) / 2), blocks - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return normal.cdf(-math.sqrt(blocks / freedom) * t)
