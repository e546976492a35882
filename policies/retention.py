"""What stays in a cache and what leaves it: SSD and DRAM of a node, an instance's adapter slots."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

from fleet.domain import ArtifactId, Tier
from fleet.pools import Entry, Pool
from fleet.view import View

CacheTiers: TypeAlias = tuple[Literal["ssd", "dram"], ...]


def take(entries: Iterable[Entry], need: int) -> Sequence[Entry] | None:
    """The first entries whose sizes reach `need`; None if they do not."""
    taken: list[Entry] = []
    for entry in entries:
        if need <= 0:
            break
        taken.append(entry)
        need -= entry.size
    return taken if need <= 0 else None


@dataclass(frozen=True)
class LeastRecentlyUsed:
    """Drop what was used longest ago. Copies stay in the named tiers as they pass through.

    A use is a load that reads the copy or leaves it. (Released ServerlessLLM never moves an entry
    on use, which makes its "LRU" first in, first out.)
    """

    tiers: CacheTiers = ("ssd", "dram")

    def keeps(self, artifact: ArtifactId, tier: Tier, view: View) -> bool:
        return tier.name.lower() in self.tiers

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        return take(pool.evictable(), need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass  # the pool keeps its entries in the order of use


@dataclass(frozen=True)
class GreedyDualSizeFrequency:
    """Drop the least H = L + uses * cost / size; a pool's L rises to the H of what was dropped.

    cost: believed seconds to bring it back, as of its last use; size: GiB, or 1 for an adapter
    slot; uses since it came. Equal H: the one used longest ago. FaasCache (ASPLOS'21, section 4.2)
    after Cherkasova (HPL-98-69); L makes what is not used any more leave in the end.
    """

    tiers: CacheTiers = ("ssd", "dram")
    _clocks: WeakKeyDictionary[Pool, float] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def keeps(self, artifact: ArtifactId, tier: Tier, view: View) -> bool:
        return tier.name.lower() in self.tiers

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        chosen = take(sorted(pool.evictable(), key=lambda e: (e.score, e.used_at)), need)
        if chosen:
            self._clocks[pool] = max(self._clocks.get(pool, 0.0), chosen[-1].score)
        return chosen

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        size = entry.size / 2**30 if entry.size > 1 else 1.0
        entry.score = self._clocks.get(pool, 0.0) + entry.uses * entry.cost_s / size


@dataclass(frozen=True)
class KeepNothing:
    """No copy stays on a node: every load comes from the remote store.

    Adapter slots of an instance, which must hold something, go by last use.
    """

    def keeps(self, artifact: ArtifactId, tier: Tier, view: View) -> bool:
        return False

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        return take(pool.evictable(), need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass
