"""Belady's bound: what a cache could do that knew every request to come. An oracle."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

from fleet.domain import ArtifactId, Request
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.victims import OnTiers, take


@dataclass(frozen=True)
class Belady(OnTiers):
    """ORACLE. Drop what is asked for again latest; of what never is, the least recently used.

    Victims that the others make superfluous stay, those asked for soonest first, so that a large
    entry far away saves the small ones before it. Told nothing, it is LRU.
    """

    source: ClassVar[str] = "Belady (IBM Systems Journal 5, 1966)"
    departs: ClassVar[str] = (
        "A bound, not a policy. Optimal for one cache of equal sizes; with sizes the optimum is "
        "NP-hard. It knows when an artifact is asked for next, not on which node."
    )

    _uses: dict[ArtifactId, list[float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def reveal(self, requests: Sequence[Request]) -> None:
        self._uses.clear()
        for request in sorted(requests, key=lambda r: r.arrived_at):
            for artifact in (request.model, request.adapter):
                if artifact is not None:
                    self._uses.setdefault(artifact, []).append(request.arrived_at)

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        def next_use_at(entry: Entry) -> float:
            times = self._uses.get(entry.artifact, [])
            after = bisect_right(times, view.now)
            return times[after] if after < len(times) else inf

        chosen = take(sorted(pool.evictable(), key=next_use_at, reverse=True), need)
        return None if chosen is None else needed(chosen, need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass


def needed(chosen: Sequence[Entry], need: int) -> list[Entry]:
    """Of enough entries, those left when the last ones that can stay do."""
    spare = sum(e.size for e in chosen) - need
    kept = []
    for entry in reversed(chosen):
        if entry.size <= spare:
            spare -= entry.size
        else:
            kept.append(entry)
    return kept[::-1]
