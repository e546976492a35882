"""Chameleon's adapter cache: a weighted sum of how often, how lately and how large."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import Tier
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.victims import OnTiers, take


@dataclass(frozen=True)
class Chameleon(OnTiers):
    """Drop the least 0.45 * frequency + 0.10 * recency + 0.45 * size.

    Each term runs from 0 to 1 among what may leave: uses over the most uses; where the last use
    lies between the oldest and the newest of them; bytes over the most bytes. So small and cold
    adapters go first: the large are dear to load again.
    """

    source: ClassVar[str] = "Chameleon (MICRO'25), cost-aware adapter eviction"
    departs: ClassVar[str] = (
        "Chameleon's cache is whatever GPU memory is idle and shrinks as the KV cache grows; here "
        "it is the instance's fixed adapter slots, and the same rule on SSD and DRAM. Uses count "
        "since the adapter came."
    )

    frequency_weight: Annotated[float, Meta(ge=0)] = 0.45
    recency_weight: Annotated[float, Meta(ge=0)] = 0.10
    size_weight: Annotated[float, Meta(ge=0)] = 0.45

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        entries = list(pool.evictable())
        if not entries:
            return take(entries, need)
        sizes = {e: nbytes(pool, e, view) for e in entries}
        most_uses = max(1, *(e.uses for e in entries))
        most_bytes = max(1, *sizes.values())
        oldest = min(e.used_at for e in entries)
        span_s = max(e.used_at for e in entries) - oldest or 1.0

        def value(entry: Entry) -> float:
            return (
                self.frequency_weight * entry.uses / most_uses
                + self.recency_weight * (entry.used_at - oldest) / span_s
                + self.size_weight * sizes[entry] / most_bytes
            )

        return take(sorted(entries, key=value), need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass  # the pool counts uses


def nbytes(pool: Pool, entry: Entry, view: View) -> int:
    """Its bytes; an adapter that was removed has none, so that it goes first."""
    if pool.tier is not Tier.GPU:
        return entry.size
    try:
        return view.size(entry.artifact)
    except KeyError:
        return 0
