"""The gaps between tokens that all decoding sequences of one engine share.

Every decoding sequence gets one token an iteration, so one line of iteration lengths serves all:
a sequence's histogram is the running total at its end minus that at its first token, and its
longest gap a range maximum. Knows lengths only: neither sequences nor the time of day.
"""

from bisect import bisect_right
from math import ceil, inf

from fleet.gaps import BITS, EDGES_S

#: A histogram of one gap, by its bin.
_ONE = tuple(1 << BITS * at for at in range(len(EDGES_S) + 1))


class GapLine:
    """Runs of iterations, appended; `total` is the packed histogram of all their lengths.

    A position on the line is `total` and the iteration count there. The stack is monotonic:
    (iteration count at the end of a run, its longest), lengths falling from the bottom up, so the
    longest of all runs from a position on is that of the first entry beyond it.
    """

    __slots__ = ("_high_s", "_low_s", "_shift", "_stack", "total")

    def __init__(self) -> None:
        self.total = 0
        self._stack: list[tuple[int, float]] = []
        self._low_s = self._high_s = 0.0  # the bin of the last run of more than one iteration
        self._shift = 0

    def one(self, length_s: float, end: int) -> None:
        """A single iteration, which makes the iteration count `end`."""
        self.total += _ONE[bisect_right(EDGES_S, length_s)]
        stack = self._stack
        while stack and stack[-1][1] <= length_s:
            stack.pop()
        stack.append((end, length_s))

    def run(self, first_s: float, rise_s: float, count: int, end: int) -> None:
        """`count` iterations of first_s, first_s + rise_s, first_s + 2 rise_s, ..."""
        last_s = first_s + rise_s * (count - 1)
        if self._low_s <= first_s and last_s < self._high_s:
            self.total += count << self._shift
        else:
            self._spread(first_s, rise_s, count)
        stack = self._stack
        while stack and stack[-1][1] <= last_s:
            stack.pop()
        stack.append((end, last_s))

    def _spread(self, first_s: float, rise_s: float, count: int) -> None:
        """Splits a run over the bin edges between its first and its last length."""
        done = 0
        at = bisect_right(EDGES_S, first_s)
        while done < count:
            below = count
            if rise_s > 0.0 and at < len(EDGES_S):
                below = min(count, max(done, ceil((EDGES_S[at] - first_s) / rise_s)))
            self._shift = BITS * at
            self.total += (below - done) << self._shift
            done = below
            at += 1
        self._low_s = EDGES_S[at - 2] if at > 1 else 0.0
        self._high_s = EDGES_S[at - 1] if at <= len(EDGES_S) else inf

    def longest_since(self, start: int) -> float:
        """The longest iteration since the count was `start`; 0.0 where there is none."""
        stack = self._stack
        found = bisect_right(stack, (start, inf))
        return stack[found][1] if found < len(stack) else 0.0

    def clear(self) -> None:
        """Forgets the past; no position on the line may be in use."""
        self.total = 0
        self._stack.clear()
