"""ARC: recency and frequency in two lists, and a share between them that learns from misses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from weakref import WeakKeyDictionary

from fleet.domain import ArtifactId
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.arrivals import lies_in, unmet
from policies.retention.victims import OnTiers, enough


@dataclass(frozen=True)
class AdaptiveReplacement(OnTiers):
    """T1 has what was used once, T2 what was used again; ghosts B1 and B2 remember what left them.

    T1's least recent leaves if T1 holds more than p bytes, else T2's. What comes back and is in B1
    raises p by its size * max(1, |B2| / |B1|), in B2 lowers it by its size * max(1, |B1| / |B2|)
    (sizes in bytes), and goes to T2. T1 and B1 together name no more bytes than the pool has, all
    four no more than twice that.
    """

    source: ClassVar[str] = "ARC (Megiddo and Modha, FAST'03), figure 4"
    departs: ClassVar[str] = (
        "Bytes instead of pages. The victim of a miss is chosen before it is known what comes, so "
        "p moves after it, and a tie |T1| = p always drops from T2."
    )

    _lists: "WeakKeyDictionary[Pool, Lists]" = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        if not enough(pool, need):
            return None
        lists, chosen = self._of(pool), list[Entry]()
        lists.meet(pool)
        while need > 0:
            chosen.append(lists.replace())
            need -= chosen[-1].size
        return chosen

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        lists = self._of(pool)
        if not lists or len(lists) > 2 * len(pool.entries):
            lists.meet(pool, coming=entry)
        lists.used(entry)

    def _of(self, pool: Pool) -> "Lists":
        return self._lists.setdefault(pool, Lists(pool.capacity))


class Lists:
    """T1, T2, B1 and B2 of one pool, each with its least recent first."""

    __slots__ = ("capacity", "ghosts", "held", "most_once")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.most_once = 0.0  # p: bytes that T1 may hold while something else can leave
        self.held = (Held(), Held())  # T1, T2
        self.ghosts = (Ghosts(), Ghosts())  # B1, B2

    def __len__(self) -> int:
        return sum(len(held.entries) for held in self.held)

    def meet(self, pool: Pool, coming: Entry | None = None) -> None:
        """Let go of what left by another way, and take in what was never heard of."""
        once, twice = self.held
        for held in self.held:
            for entry in [e for e in held.entries if not lies_in(pool, e)]:
                held.take_out(entry)
        for entry in unmet(pool, (*once.entries, *twice.entries)):
            if entry is not coming:
                once.take_in(entry)

    def used(self, entry: Entry) -> None:
        once, twice = self.held
        again = once.take_out(entry) or twice.take_out(entry)
        returned = self._adapt(entry)
        (twice if again or returned else once).take_in(entry)
        self._forget()

    def replace(self) -> Entry:
        """Take out the next to leave; a ghost of it stays."""
        first, second = (held.first() for held in self.held)
        leaves_once = second is None or self.held[0].size > self.most_once
        which = 0 if first is not None and leaves_once else 1
        leaves = first if which == 0 else second
        assert leaves is not None, "there is enough to evict"
        self.held[which].take_out(leaves)
        self.ghosts[which].add(leaves)
        return leaves

    def _adapt(self, entry: Entry) -> bool:
        """Whether a ghost remembers it; then p moves towards the list it should have stayed in."""
        once, twice = self.ghosts
        sizes = once.size, twice.size
        if once.pop(entry.artifact):
            step = entry.size * max(1.0, sizes[1] / sizes[0])
            self.most_once = min(self.most_once + step, float(self.capacity))
            return True
        if twice.pop(entry.artifact):
            self.most_once -= entry.size * max(1.0, sizes[0] / sizes[1])
            self.most_once = max(self.most_once, 0.0)
            return True
        return False

    def _forget(self) -> None:
        once, twice = self.ghosts
        while once.names and self.held[0].size + once.size > self.capacity:
            once.pop(next(iter(once.names)))
        held = self.held[0].size + self.held[1].size
        while twice.names and held + once.size + twice.size > 2 * self.capacity:
            twice.pop(next(iter(twice.names)))


class Held:
    """Entries by last use, and their bytes."""

    __slots__ = ("entries", "size")

    def __init__(self) -> None:
        self.entries: dict[Entry, None] = {}
        self.size = 0

    def first(self) -> Entry | None:
        """The least recent that may leave."""
        return next((e for e in self.entries if not e.pins), None)

    def take_in(self, entry: Entry) -> None:
        self.entries[entry] = None
        self.size += entry.size

    def take_out(self, entry: Entry) -> bool:
        """Whether it was there."""
        if entry not in self.entries:
            return False
        del self.entries[entry]
        self.size -= entry.size
        return True


class Ghosts:
    """Names and sizes of what has left, the first to leave first."""

    __slots__ = ("names", "size")

    def __init__(self) -> None:
        self.names: dict[ArtifactId, int] = {}
        self.size = 0

    def add(self, entry: Entry) -> None:
        self.pop(entry.artifact)
        self.names[entry.artifact] = entry.size
        self.size += entry.size

    def pop(self, artifact: ArtifactId) -> bool:
        nbytes = self.names.pop(artifact, None)
        self.size -= nbytes or 0
        return nbytes is not None
