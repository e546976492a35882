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
        if not lists.resident or len(lists.resident) > 2 * len(pool.entries):
            lists.meet(pool, coming=entry)
        lists.used(entry)

    def _of(self, pool: Pool) -> "Lists":
        return self._lists.setdefault(pool, Lists(pool.capacity))


class Lists:
    """T1, T2, B1 and B2 of one pool, each with its least recent first."""

    __slots__ = ("capacity", "ghosts", "most_once", "once_bytes", "resident", "twice")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.most_once = 0.0  # p: bytes that T1 may hold while something else can leave
        self.resident: dict[Entry, None] = {}  # T1 and T2 by last use
        self.twice: dict[Entry, None] = {}  # those of T2
        self.once_bytes = 0  # of T1
        self.ghosts = (Ghosts(), Ghosts())  # B1, B2

    def meet(self, pool: Pool, coming: Entry | None = None) -> None:
        """Let go of what left by another way, and take in what was never heard of."""
        for entry in [e for e in self.resident if not lies_in(pool, e)]:
            self._take_out(entry)
        for entry in unmet(pool, self.resident):
            if entry is not coming:
                self.resident[entry] = None
                self.once_bytes += entry.size

    def used(self, entry: Entry) -> None:
        again = entry in self.resident
        if again:
            self._take_out(entry)
        returned = self._adapt(entry)
        self.resident[entry] = None
        if again or returned:
            self.twice[entry] = None
        else:
            self.once_bytes += entry.size
        self._forget()

    def replace(self) -> Entry:
        """Take out the next to leave; a ghost of it stays."""
        able = [e for e in self.resident if not e.pins]
        once = next((e for e in able if e not in self.twice), None)
        twice = next((e for e in able if e in self.twice), None)
        leaves = once if twice is None or self.once_bytes > self.most_once else twice
        leaves = leaves if leaves is not None else twice
        assert leaves is not None, "there is enough to evict"
        self.ghosts[leaves in self.twice].add(leaves)
        self._take_out(leaves)
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
        while once.names and self.once_bytes + once.size > self.capacity:
            once.pop(next(iter(once.names)))
        held = sum(e.size for e in self.resident) if twice.names else 0
        while twice.names and held + once.size + twice.size > 2 * self.capacity:
            twice.pop(next(iter(twice.names)))

    def _take_out(self, entry: Entry) -> None:
        del self.resident[entry]
        if entry in self.twice:
            del self.twice[entry]
        else:
            self.once_bytes -= entry.size


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
