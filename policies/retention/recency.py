"""What was used longest ago leaves, or nothing stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fleet.domain import ArtifactId, Tier
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.victims import OnTiers, take


@dataclass(frozen=True)
class LeastRecentlyUsed(OnTiers):
    """Drop what was used longest ago.

    A use is a load that reads the copy or leaves it; of an adapter slot, a request sent to it.
    (Released ServerlessLLM never moves an entry on use, which makes its "LRU" first in, first out:
    `fifo`.)
    """

    source: ClassVar[str] = "textbook; ServerlessLLM (OSDI'24), section 4; vLLM's adapter slots"

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        return take(pool.evictable(), need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass  # the pool keeps its entries in the order of use


@dataclass(frozen=True)
class KeepNothing:
    """No copy stays on a node: every load comes from the remote store.

    Adapter slots of an instance, which must hold something, go by last use.
    """

    source: ClassVar[str] = "Ray Serve as ServerlessLLM (OSDI'24, section 7) ran it"

    def keeps(self, artifact: ArtifactId, tier: Tier, view: View) -> bool:
        return False

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        return take(pool.evictable(), need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass
