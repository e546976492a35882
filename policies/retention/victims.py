"""Taking the first victims of an order, and which tiers a cache is on."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from fleet.pools import Entry

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
