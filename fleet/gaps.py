"""Histograms of inter-token gaps, packed into one integer.

A bin is 40 bits of a Python integer, so adding a run of equal gaps is a shift and an add, and the
gaps of one request are the engine's running total at its end minus that at its first token.
Bins are logarithmic: bin i holds gaps in [EDGES_S[i - 1], EDGES_S[i]); the first is open below,
the last above.
"""

from bisect import bisect_right
from typing import Final

BITS: Final = 40
MASK: Final = (1 << BITS) - 1
#: Upper edges, seconds: four bins an octave from 1 ms to 131 s.
EDGES_S: Final[tuple[float, ...]] = tuple(1e-3 * 2 ** (i / 4) for i in range(69))
BINS: Final = len(EDGES_S) + 1


def bin_of(gap_s: float) -> int:
    """Which bin a gap falls into."""
    return bisect_right(EDGES_S, gap_s)


def add(packed: int, gap_s: float, count: int = 1) -> int:
    """The histogram with `count` more gaps of that length."""
    return packed + (count << (BITS * bin_of(gap_s)))


def counts(packed: int) -> list[int]:
    """The count in each of the `BINS` bins."""
    return [(packed >> (BITS * i)) & MASK for i in range(BINS)]
