"""Greedy-dual: size, cost and use in one number, aged by a clock. GDSF and Landlord."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar
from weakref import WeakKeyDictionary

from msgspec import Meta

from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.victims import OnTiers, take


@dataclass(frozen=True)
class GreedyDualSizeFrequency(OnTiers):
    """Drop the least H = L + uses * cost / size; a pool's L rises to the H of what was dropped.

    cost: believed seconds to bring it back, as of its last use; size: GiB, or 1 for an adapter
    slot; uses since it came. Equal H: the one used longest ago. L makes what is not used any more
    leave in the end.
    """

    source: ClassVar[str] = (
        "GDSF (Cherkasova, HPL-98-69), as in FaasCache (Fuerst and Sharma, ASPLOS'21), section 4.2"
    )
    departs: ClassVar[str] = "FaasCache sums uses over all clones of a function; here by copy."

    _clocks: WeakKeyDictionary[Pool, float] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        chosen = take(sorted(pool.evictable(), key=lambda e: (e.score, e.used_at)), need)
        if chosen:
            self._clocks[pool] = max(self._clocks.get(pool, 0.0), chosen[-1].score)
        return chosen

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        entry.score = self._clocks.get(pool, 0.0) + entry.uses * entry.cost_s / gib(entry)


@dataclass(frozen=True)
class Landlord(OnTiers):
    """Each entry has credit, at most its cost; all pay rent for their size; the first broke leaves.

    To make room, every entry pays delta * size with delta the least credit / size, until one has
    none left. A use raises credit by the part `refresh` of what it has lost: 1 is GreedyDual-Size
    (LRU for equal sizes and costs), with 0 a use earns nothing. cost: believed seconds to bring it
    back; size as in GDSF. Of equals, the one used longest ago.
    """

    source: ClassVar[str] = "Landlord (Young, Algorithmica 33, 2002); FaasCache's LND"
    departs: ClassVar[str] = (
        "Rent is kept as a sum by pool, so credit is what is left of cost / size above it; what is "
        "in use pays too, but is not put out."
    )

    refresh: Annotated[float, Meta(ge=0, le=1)] = 1.0
    _rents: WeakKeyDictionary[Pool, float] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        chosen = take(sorted(pool.evictable(), key=lambda e: (e.score, e.used_at)), need)
        if chosen:
            self._rents[pool] = max(self._rents.get(pool, 0.0), chosen[-1].score)
        return chosen

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        rent = self._rents.get(pool, 0.0)
        full = rent + entry.cost_s / gib(entry)
        left = max(entry.score, rent)
        refresh = self.refresh if entry.uses > 1 else 1.0
        entry.score = left + refresh * max(0.0, full - left)


def gib(entry: Entry) -> float:
    """Its size: GiB, or 1 for an adapter slot."""
    return entry.size / 2**30 if entry.size > 1 else 1.0
