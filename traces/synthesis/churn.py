"""Adapters of a base that are born, used for some days and retired.

Knows bases, days and adapter serial numbers as integers; does not know names or requests.
"""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from traces.synthesis.popularity import Floats, Ints, draw


def draw_adapters(
    rng: np.random.Generator, base: Ints, day: Ints, shares: Floats, churn: float
) -> Ints:
    """The adapter of each use, as a serial number (from 0) within its base.

    `base` and `day` have shape (uses,), in time order. A base has `len(shares)` slots whose
    popularity is `shares` in an order of its own. After its first day, a use goes with
    probability `churn` to an adapter never used before that day, and else to one that was, each
    by its slot's share; so `churn` is the expected share of uses on their adapter's first day.
    Retired adapters make room, so that a day starts with about churn * slots unused ones. Churn
    above 0 takes two slots or more; with churn 0 nothing is born or retired.
    """
    serials = np.empty(len(base), dtype=np.int64)
    order = np.lexsort((day, base))
    edges = np.append(_group_starts(base[order], day[order]), len(base))
    shelf = _Shelf(rng.permutation(shares), churn)
    for start, end in itertools.pairwise(edges.tolist()):
        rows = order[start:end]
        if start and base[rows[0]] != base[order[start - 1]]:
            shelf = _Shelf(rng.permutation(shares), churn)
        serials[rows] = shelf.day_of_uses(rng, len(rows))
    return serials


def _group_starts(base: Ints, day: Ints) -> Ints:
    if not len(base):
        return np.empty(0, dtype=np.int64)
    changes = (base[1:] != base[:-1]) | (day[1:] != day[:-1])
    return np.append(0, np.flatnonzero(changes) + 1)


@dataclass(slots=True)
class _Shelf:
    """The slots of one base: which adapter is in each, and whether it was used before today."""

    shares: Floats
    churn: float
    occupant: Ints = field(init=False)
    used_before: np.ndarray[tuple[int], np.dtype[np.bool_]] = field(init=False)
    born: int = field(init=False)

    def __post_init__(self) -> None:
        self.born = len(self.shares)
        self.occupant = np.arange(self.born)
        self.used_before = np.zeros(self.born, dtype=bool)

    def day_of_uses(self, rng: np.random.Generator, uses: int) -> Ints:
        if self.churn == 0:
            return self.occupant[draw(rng, self.shares, uses)]
        if self.used_before.any():
            self._renew(rng)
        slots = self._slots(rng, uses)
        self.used_before[slots] = True
        return self.occupant[slots]

    def _renew(self, rng: np.random.Generator) -> None:
        """Retire used adapters at random until enough of the shelf is unused."""
        unused = len(self.shares) - int(self.used_before.sum())
        wanted = min(math.ceil(self.churn * len(self.shares)), len(self.shares) - 1)
        births = wanted - unused
        if births <= 0:
            return
        retired = rng.choice(np.flatnonzero(self.used_before), size=births, replace=False)
        self.occupant[retired] = np.arange(self.born, self.born + births)
        self.used_before[retired] = False
        self.born += births

    def _slots(self, rng: np.random.Generator, uses: int) -> Ints:
        newcomers = rng.random(uses) < self.churn
        if not self.used_before.any():
            newcomers[:] = True
        slots = np.empty(uses, dtype=np.int64)
        for rows, pool in ((newcomers, ~self.used_before), (~newcomers, self.used_before)):
            if rows.any():
                slots[rows] = draw(rng, np.where(pool, self.shares, 0.0), int(rows.sum()))
        return slots
