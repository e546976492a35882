"""S3-FIFO: three queues, of which a small one sorts out what is never used again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar
from weakref import WeakKeyDictionary

from msgspec import Meta

from fleet.domain import ArtifactId
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.arrivals import lies_in, unmet
from policies.retention.victims import OnTiers, enough

#: Two bits count the uses of an entry since it came.
MOST_USES = 3


@dataclass(frozen=True)
class S3Fifo(OnTiers):
    """A small queue S takes `small_share` of the bytes, the main queue M the rest.

    What comes goes to S, or to M if the ghost queue G remembers it. If S has its share or more, its
    first entry leaves to G, but moves to M if it was used twice since it came; else M's first entry
    leaves, but goes to M's end, a use less, if it has uses. G holds names for (1 - `small_share`)
    of the pool's bytes.
    """

    source: ClassVar[str] = "S3-FIFO (Yang et al., SOSP'23), algorithm 1"
    departs: ClassVar[str] = "Queues are measured in bytes; an entry in use keeps its place."

    small_share: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    _queues: "WeakKeyDictionary[Pool, Queues]" = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        if not enough(pool, need):
            return None
        queues, chosen = self._queues.setdefault(pool, Queues()), list[Entry]()
        queues.meet(pool)
        while need > 0:
            evicted = queues.turn(self.small_share * pool.capacity)
            if evicted is not None:
                chosen.append(evicted)
                need -= evicted.size
        queues.forget((1.0 - self.small_share) * pool.capacity)
        return chosen

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        queues = self._queues.setdefault(pool, Queues())
        if not queues.uses or len(queues.uses) > 2 * len(pool.entries):
            queues.meet(pool, coming=entry)
        queues.used(entry)


class Queues:
    """S, M and G of one pool, each with its first entry first."""

    __slots__ = ("ghost", "ghost_bytes", "main", "small", "small_bytes", "uses")

    def __init__(self) -> None:
        self.small: dict[Entry, None] = {}
        self.main: dict[Entry, None] = {}
        self.uses: dict[Entry, int] = {}  # of all in S and M
        self.ghost: dict[ArtifactId, int] = {}
        self.small_bytes = 0
        self.ghost_bytes = 0

    def meet(self, pool: Pool, coming: Entry | None = None) -> None:
        """Let go of what left by another way, and take in what was never heard of."""
        for entry in [e for e in self.uses if not lies_in(pool, e)]:
            self._take_out(entry)
        for entry in unmet(pool, self.uses):
            if entry is not coming:
                self._take_in(entry)

    def used(self, entry: Entry) -> None:
        if entry in self.uses:
            self.uses[entry] = min(MOST_USES, self.uses[entry] + 1)
        else:
            self._take_in(entry)

    def turn(self, small_bytes: float) -> Entry | None:
        """One step: an entry that leaves, or None if one was given another round."""
        first_small = next((e for e in self.small if not e.pins), None)
        first_main = next((e for e in self.main if not e.pins), None)
        if first_small is not None and (self.small_bytes >= small_bytes or first_main is None):
            return self._turn_small(first_small)
        assert first_main is not None, "there is enough to evict"
        left = self.uses[first_main]
        self._take_out(first_main)
        if not left:
            return first_main
        self.main[first_main] = None
        self.uses[first_main] = left - 1
        return None

    def _turn_small(self, entry: Entry) -> Entry | None:
        often = self.uses[entry] > 1
        self._take_out(entry)
        if often:
            self.main[entry] = None
            self.uses[entry] = 0
            return None
        self.ghost_bytes += entry.size - self.ghost.pop(entry.artifact, 0)
        self.ghost[entry.artifact] = entry.size
        return entry

    def forget(self, ghost_bytes: float) -> None:
        """Keep no more names than stand for so many bytes."""
        while self.ghost_bytes > ghost_bytes:
            self.ghost_bytes -= self.ghost.pop(next(iter(self.ghost)))

    def _take_in(self, entry: Entry) -> None:
        known_bytes = self.ghost.pop(entry.artifact, None)
        self.uses[entry] = 0
        if known_bytes is None:
            self.small[entry] = None
            self.small_bytes += entry.size
        else:
            self.ghost_bytes -= known_bytes
            self.main[entry] = None

    def _take_out(self, entry: Entry) -> None:
        del self.uses[entry]
        if entry in self.small:
            del self.small[entry]
            self.small_bytes -= entry.size
        else:
            del self.main[entry]
