"""Taking the first victims of an order, and which tiers a cache is on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fleet.domain import ArtifactId, Tier
from fleet.pools import Entry, Pool
from fleet.view import View

CacheTiers: TypeAlias = tuple[Literal["ssd", "dram"], ...]


@dataclass(frozen=True)
class OnTiers:
    """Copies stay in the named tiers as they pass through; adapter slots are always a cache."""

    tiers: CacheTiers = ("ssd", "dram")

    def keeps(self, artifact: ArtifactId, tier: Tier, view: View) -> bool:
        return tier.name.lower() in self.tiers


def enough(pool: Pool, need: int) -> bool:
    """Whether all that may leave adds up to `need`."""
    return sum(e.size for e in pool.evictable()) >= need


def take(entries: Iterable[Entry], need: int) -> Sequence[Entry] | None:
    """The first entries whose sizes reach `need`; None if they do not."""
    taken: list[Entry] = []
    for entry in entries:
        if need <= 0:
            break
        taken.append(entry)
        need -= entry.size
    return taken if need <= 0 else None
