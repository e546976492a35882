"""When each entry of a pool came in. A pool itself remembers only the order of last use.

A policy hears of an entry at its first use; what lay there before that counts as having come when
it was first met. What has left is forgotten at the latest when there is twice as much of it as of
what is there.
"""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from fleet.pools import Entry, Pool, Stay


class Arrivals:
    """By pool: its entries with the time at which each came, the first to come first."""

    __slots__ = ("_pools",)

    def __init__(self) -> None:
        self._pools: WeakKeyDictionary[Pool, dict[Entry, float]] = WeakKeyDictionary()

    def of(self, pool: Pool, now: float) -> dict[Entry, float]:
        """What lies in the pool, in the order in which it came."""
        known = self._pools.get(pool, {})
        times = {e: at for e, at in known.items() if lies_in(pool, e)}
        times |= dict.fromkeys(unmet(pool, times), now)
        self._pools[pool] = times
        return times

    def used(self, pool: Pool, entry: Entry, now: float) -> None:
        """An entry was used: if it is not known, it came with that."""
        known = self._pools.get(pool)
        if known is None or len(known) > 2 * len(pool.entries):
            known = self.of(pool, now)
        known.setdefault(entry, now)


def lies_in(pool: Pool, entry: Entry) -> bool:
    """Whether it has not left: neither gone, nor going, nor replaced by a later copy."""
    return entry.stay is Stay.HERE and pool.entries.get(entry.artifact) is entry


def unmet(pool: Pool, known: Iterable[Entry]) -> list[Entry]:
    """What lies in the pool and is not among the known."""
    met = set(known)
    return [e for e in pool.entries.values() if e.stay is Stay.HERE and e not in met]
