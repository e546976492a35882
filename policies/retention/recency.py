"""What was used longest ago leaves, or nothing stays."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.domain import ArtifactId, Tier
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.victims import CacheTiers, take


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
