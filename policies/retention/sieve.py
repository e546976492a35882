"""SIEVE: a hand goes around the entries in the order in which they came."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from weakref import WeakKeyDictionary

from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.arrivals import lies_in, unmet
from policies.retention.victims import OnTiers, enough


@dataclass(frozen=True)
class Sieve(OnTiers):
    """The hand moves from the oldest entry to the newest and drops the first not used lately.

    A use sets an entry's visited bit; the hand clears it as it passes and goes on. Entries never
    move and the hand stays where it was, so newcomers are sifted out before what was used again.
    """

    source: ClassVar[str] = "SIEVE (Zhang et al., NSDI'24), algorithm 1"
    departs: ClassVar[str] = "The hand passes over an entry in use and leaves its bit as it is."

    _rings: "WeakKeyDictionary[Pool, Ring]" = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        if not enough(pool, need):
            return None
        ring, chosen = self._rings.setdefault(pool, Ring()), list[Entry]()
        ring.meet(pool)
        while need > 0:
            chosen.append(ring.sift())
            need -= chosen[-1].size
        return chosen

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        ring = self._rings.setdefault(pool, Ring())
        if not ring.visited or len(ring.visited) > 2 * len(pool.entries):
            ring.meet(pool, coming=entry)
        ring.used(entry)


class Ring:
    """The entries of one pool, oldest first, with their visited bits and the hand's place."""

    __slots__ = ("hand", "order", "visited")

    def __init__(self) -> None:
        self.order: list[Entry] = []
        self.visited: dict[Entry, bool] = {}
        self.hand = 0

    def meet(self, pool: Pool, coming: Entry | None = None) -> None:
        """Let go of what left by another way, and take in what was never heard of."""
        stays = [lies_in(pool, e) for e in self.order]
        self.hand = sum(stays[: self.hand])
        self.order = [e for e, here in zip(self.order, stays, strict=True) if here]
        self.visited = {e: self.visited[e] for e in self.order}
        self._wrap()
        for entry in unmet(pool, self.visited):
            if entry is not coming:
                self._take_in(entry)

    def used(self, entry: Entry) -> None:
        if entry in self.visited:
            self.visited[entry] = True
        else:
            self._take_in(entry)

    def sift(self) -> Entry:
        """Move the hand to the first entry that leaves, and take it out."""
        while (entry := self.order[self.hand]).pins or self.visited[entry]:
            if not entry.pins:
                self.visited[entry] = False
            self.hand += 1
            self._wrap()
        del self.order[self.hand], self.visited[entry]
        self._wrap()
        return entry

    def _take_in(self, entry: Entry) -> None:
        self.order.append(entry)
        self.visited[entry] = False

    def _wrap(self) -> None:
        """Past the newest comes the oldest, also if something newer comes before the next sift."""
        if self.hand >= len(self.order):
            self.hand = 0
