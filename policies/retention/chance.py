"""Anything may leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.victims import OnTiers, take


@dataclass(frozen=True)
class RandomRetention(OnTiers):
    """Drop entries chosen at random, each with the same chance, until there is room."""

    source: ClassVar[str] = "textbook"

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        entries = list(pool.evictable())
        view.stream("retention/random").shuffle(entries)
        return take(entries, need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass
