"""GDSF: size, cost and frequency in one number, aged by a clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from fleet.domain import ArtifactId, Tier
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.victims import CacheTiers, take


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
