"""What was used least often leaves: since it came, or for each second since then."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.arrivals import Arrivals
from policies.retention.victims import OnTiers, enough, take


@dataclass(frozen=True)
class LeastFrequentlyUsed(OnTiers):
    """Drop what has the fewest uses since it came in; of equals, what was used longest ago.

    Counts go with the entry (in-cache LFU) and do not age, so what was popular once stays.
    """

    source: ClassVar[str] = "textbook"

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        return take(sorted(pool.evictable(), key=lambda e: e.uses), need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass  # the pool counts uses


@dataclass(frozen=True)
class Hyperbolic(OnTiers):
    """Drop the least uses * cost / ((now - when it came) * size), of `sample` chosen at random.

    The priority of what is not used falls as 1 / time in the cache, so a newcomer is not judged by
    a short past, and an old favourite is forgotten. cost: believed seconds to bring it back.
    """

    source: ClassVar[str] = "Hyperbolic caching (Blankstein, Sen, Freedman, ATC'17), section 2"
    departs: ClassVar[str] = "A pool of no more than `sample` entries is looked at whole."

    sample: Annotated[int, Meta(ge=1)] = 64
    _came: Arrivals = field(default_factory=Arrivals, init=False, repr=False, compare=False)

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        if not enough(pool, need):
            return None
        came = self._came.of(pool, view.now)
        left, chosen = list(pool.evictable()), list[Entry]()
        while need > 0:
            among = left
            if len(left) > self.sample:
                among = view.stream("retention/hyperbolic").sample(left, self.sample)
            least = min(among, key=lambda e: (priority(e, view.now - came[e]), e.used_at))
            left.remove(least)
            chosen.append(least)
            need -= least.size
        return chosen

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        self._came.used(pool, entry, view.now)


def priority(entry: Entry, age_s: float) -> float:
    """uses * cost / (age * size). What came this instant has the highest: its rate is unknown."""
    return entry.uses * entry.cost_s / entry.size / age_s if age_s > 0.0 else float("inf")
