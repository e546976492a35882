"""What lies in a bounded store: a node's SSD or DRAM, or the adapter slots of an instance.

A pool knows sizes, pins and use; it does not choose victims (a retention policy does) and does
not know where its bytes came from. An entry is COMING while its bytes are on the way (their room
is taken from the start), HERE, or GOING until the drop is confirmed. A reservation may name its own
victims, so `used` can pass `capacity` by what is GOING, never by more.
"""

from collections.abc import Iterator
from enum import Enum, auto

from fleet.domain import ArtifactId, Tier
from fleet.ledger import Cause, Meter


class Stay(Enum):
    COMING = auto()
    HERE = auto()
    GOING = auto()


class Entry:
    """One artifact in one pool."""

    __slots__ = ("artifact", "cost_s", "meter", "pins", "score", "size", "stay", "used_at", "uses")

    def __init__(self, artifact: ArtifactId, size: int, meter: Meter) -> None:
        self.artifact = artifact
        self.size = size
        self.meter = meter
        self.stay = Stay.COMING
        self.pins = 0
        self.uses = 0
        self.used_at = 0.0
        self.cost_s = 0.0  # what loading it again would take, as believed when last used
        self.score = 0.0  # a retention policy's own mark, such as GDSF's clock at last use


class Pool:
    """Entries in order of last use, oldest first. Sizes are bytes, or 1 for an adapter slot."""

    __slots__ = ("__weakref__", "capacity", "entries", "going", "kind", "tier", "used")

    def __init__(self, tier: Tier, capacity: int, kind: str = "") -> None:
        self.tier = tier
        self.kind = kind  # of its node, for the ledger
        self.capacity = capacity
        self.used = 0
        self.going = 0
        self.entries: dict[ArtifactId, Entry] = {}

    @property
    def free(self) -> int:
        """Room for a reservation that names no victims; negative while drops are on their way."""
        return self.capacity - self.used

    def __contains__(self, artifact: ArtifactId) -> bool:
        return artifact in self.entries

    def has(self, artifact: ArtifactId) -> bool:
        """Whether the artifact lies here and can be read."""
        entry = self.entries.get(artifact)
        return entry is not None and entry.stay is Stay.HERE

    def evictable(self) -> Iterator[Entry]:
        """Unpinned entries that lie here, least recently used first."""
        return (e for e in self.entries.values() if e.stay is Stay.HERE and not e.pins)

    def room(self) -> int:
        """What a reservation could get at most, victims included."""
        return self.free + sum(e.size for e in self.evictable())

    def add(self, artifact: ArtifactId, size: int, now: float) -> Entry:
        """Take room for something on its way."""
        assert artifact not in self.entries, f"artifact {artifact} is already in the pool"
        entry = Entry(artifact, size, Meter(self.tier, Cause.LOADING, now, size, self.kind))
        self.entries[artifact] = entry
        self.used += size
        assert self.used - self.going <= self.capacity, f"{self.tier.name} pool over-committed"
        return entry

    def going_out(self, entry: Entry) -> None:
        assert entry.stay is Stay.HERE, "only what lies here can be dropped"
        assert not entry.pins, "a pinned entry cannot be dropped"
        entry.stay = Stay.GOING
        self.going += entry.size

    def stays(self, entry: Entry) -> None:
        """Its drop did not happen."""
        entry.stay = Stay.HERE
        self.going -= entry.size

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.artifact]
        self.used -= entry.size
        if entry.stay is Stay.GOING:
            self.going -= entry.size

    def touch(self, entry: Entry, now: float, cost_s: float) -> None:
        """One use: moves the entry to the recent end."""
        entry.uses += 1
        entry.used_at = now
        entry.cost_s = cost_s
        del self.entries[entry.artifact]
        self.entries[entry.artifact] = entry

    def check(self) -> None:
        assert self.used == sum(e.size for e in self.entries.values())
        assert self.going == sum(e.size for e in self.entries.values() if e.stay is Stay.GOING)
        assert self.used - self.going <= self.capacity
