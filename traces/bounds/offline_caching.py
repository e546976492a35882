"""What a cache could have done had it known the future: a schedule that does it, and a lower bound.

A cache of `capacity` sees accesses one after another. An access to what is in it is a hit, any
other a miss, after which the object may be let in or not (`bypass`), others having to go. Knows
artifacts as integers, sizes in the capacity's unit, and nothing of tiers, nodes or time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Sums of sizes and lengths in doubles: a bound gives away what rounding could have added.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Accesses:
    """A cache's accesses in order. `objects` and `sizes` have one entry an access, sizes above 0;
    an object keeps its size. `initial` lie in the cache before the first access."""

    capacity: int
    objects: Sequence[int]
    sizes: Sequence[int]
    initial: frozenset[int] = frozenset()
    bypass: bool = True

    def __len__(self) -> int:
        return len(self.objects)


def previous_uses(accesses: Accesses) -> NDArray[np.int64]:
    """For each access the index of the last one of its object, shape (n,).

    -1 where it was in the cache from the start, -2 where this is the first.
    """
    last = dict.fromkeys(accesses.initial, -1)
    previous = np.empty(len(accesses), np.int64)
    for at, one in enumerate(accesses.objects):
        previous[at] = last.get(one, -2)
        last[one] = at
    return previous


def belady_hits(accesses: Accesses) -> NDArray[np.bool_]:
    """Hits of a cache that knows what comes, shape (n,).

    The largest size times distance to its next use goes first, what just came included where it
    may be passed over. With equal sizes this is Belady's rule (IBM Systems Journal 1966), the
    fewest misses possible; else it is the heuristic Belady-Size of Berger, Beckmann and
    Harchol-Balter (SIGMETRICS 2018).
    """
    return _Belady(accesses).hits()


class _Belady:
    def __init__(self, accesses: Accesses) -> None:
        self._accesses = accesses
        self._next = self._next_uses()
        sizes = dict(zip(accesses.objects, accesses.sizes, strict=True))
        # What is never asked for is as good as gone.
        self._size = {one: sizes[one] for one in accesses.initial if one in sizes}
        first: dict[int, float] = {}
        for at, one in enumerate(accesses.objects):
            first.setdefault(one, at)
        self._next_of: dict[int, float] = {one: first[one] for one in self._size}

    def _next_uses(self) -> list[float]:
        following: dict[int, int] = {}
        uses = [inf] * len(self._accesses)
        for at in range(len(self._accesses) - 1, -1, -1):
            one = self._accesses.objects[at]
            uses[at] = following.get(one, inf)
            following[one] = at
        return uses

    def hits(self) -> NDArray[np.bool_]:
        accesses = self._accesses
        hits = np.zeros(len(accesses), np.bool_)
        for at, (one, size) in enumerate(zip(accesses.objects, accesses.sizes, strict=True)):
            hits[at] = one in self._size
            self._next_of[one] = self._next[at]
            if not hits[at] and size <= accesses.capacity:
                self._size[one] = size
                self._shrink(at, None if accesses.bypass else one)
        return hits

    def _shrink(self, at: int, kept: int | None) -> None:
        used = sum(self._size.values())
        while used > self._accesses.capacity:
            worst = max(
                (one for one in self._size if one != kept),
                key=lambda one: self._size[one] * (self._next_of[one] - at),
            )
            used -= self._size.pop(worst)


def least_missed(accesses: Accesses, values: NDArray[np.float64]) -> float:
    """No cache, whatever it knows, misses accesses worth less than this together.

    `values`, shape (n,), is what missing each access costs, at least 0. It is PFOO-L (Berger,
    Beckmann and Harchol-Balter, SIGMETRICS 2018): an access hits only if its object lay in the
    cache since its last access, which takes size x length of the capacity x accesses that there
    is in all. Filling that with the intervals that save most for what they take, the last one in
    part, saves at least as much as any schedule: they all keep to the capacity at each access
    and so in the sum. What is larger than the cache never hits, and where the intervals together
    do not need the whole capacity, only what they need is to be filled.
    """
    previous = previous_uses(accesses)
    sizes = np.asarray(accesses.sizes, np.float64)
    can = (previous >= -1) & (sizes <= accesses.capacity) & (values > 0)
    at = np.arange(len(accesses))
    taken = (sizes * (at - previous))[can]
    wanted = np.zeros(len(accesses) + 1)  # before each access, by all intervals
    np.add.at(wanted, previous[can] + 1, sizes[can])
    np.add.at(wanted, at[can] + 1, -sizes[can])
    room = float(np.minimum(np.cumsum(wanted)[:-1], accesses.capacity).sum())
    return max(0.0, float(values.sum()) - most_saved(values[can], taken, room * (1 + _ROUNDING)))


def most_saved(values: NDArray[np.float64], taken: NDArray[np.float64], room: float) -> float:
    """The fractional knapsack (Dantzig 1957): the most value in `room`, things taking `taken`.

    What takes nothing is all in. Rounded up by a billionth, so that it stays an upper bound.
    """
    free = taken <= 0
    saved = float(values[free].sum())
    values, taken = values[~free], taken[~free]
    order = np.argsort(-values / taken, kind="stable")
    filled = np.cumsum(taken[order])
    whole = int(np.searchsorted(filled, room, side="right"))
    saved += float(values[order[:whole]].sum())
    if whole < len(order):
        left = room - (float(filled[whole - 1]) if whole else 0.0)
        saved += float(values[order[whole]]) * max(left, 0.0) / float(taken[order[whole]])
    return saved * (1 + _ROUNDING)
