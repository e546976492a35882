"""The gaps between tokens that all decoding sequences of one engine share.

Every decoding sequence gets one token an iteration, so one line of iteration lengths serves all:
a sequence's histogram is the running total at its end minus that at its first token, and its
longest gap a range maximum. Knows lengths only: neither sequences nor the time of day.
"""

from bisect import bisect_left, bisect_right
from math import ceil

from fleet.gaps import BITS, EDGES_S


class GapLine:
    """Runs of iterations, appended; `total` is the packed histogram of all their lengths.

    A position on the line is `(total, runs)`. `tallest` and `since` are a monotonic stack:
    lengths that fall from the bottom up, each with the run that had it, so the longest of all
    runs from a position on is the first entry at or after it.
    """

    __slots__ = ("_high_s", "_low_s", "_shift", "runs", "since", "tallest", "total")

    def __init__(self) -> None:
        self.total = 0
        self.runs = 0
        self.tallest: list[float] = []
        self.since: list[int] = []
        self._low_s = self._high_s = 0.0  # the bin of the last run
        self._shift = 0

    def run(self, first_s: float, rise_s: float, count: int) -> None:
        """`count` iterations of first_s, first_s + rise_s, first_s + 2 rise_s, ..."""
        last_s = first_s + rise_s * (count - 1)
        if self._low_s <= first_s and last_s < self._high_s:
            self.total += count << self._shift
        else:
            self._spread(first_s, rise_s, count)
        tallest = self.tallest
        while tallest and tallest[-1] <= last_s:
            tallest.pop()
            self.since.pop()
        tallest.append(last_s)
        self.since.append(self.runs)
        self.runs += 1

    def _spread(self, first_s: float, rise_s: float, count: int) -> None:
        """Splits a run over the bin edges between its first and its last length."""
        done = 0
        at = bisect_right(EDGES_S, first_s)
        while at < len(EDGES_S) and done < count:
            below = count
            if rise_s > 0.0:
                below = min(count, max(done, ceil((EDGES_S[at] - first_s) / rise_s)))
            if below > done:
                self._enter(at)
                self.total += (below - done) << self._shift
                done = below
            at += 1
        if done < count:
            self._enter(len(EDGES_S))
            self.total += (count - done) << self._shift

    def _enter(self, at: int) -> None:
        self._shift = BITS * at
        self._low_s = EDGES_S[at - 1] if at else 0.0
        self._high_s = EDGES_S[at] if at < len(EDGES_S) else float("inf")

    def longest_since(self, run: int) -> float:
        """The longest iteration of run number `run` and later; 0.0 where there is none."""
        found = bisect_left(self.since, run)
        return self.tallest[found] if found < len(self.tallest) else 0.0

    def clear(self) -> None:
        """Forgets the past; no position on the line may be in use."""
        self.total = 0
        self.tallest.clear()
        self.since.clear()
