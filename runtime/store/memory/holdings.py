"""What the pool keeps under one name: some pages, in the order of the bytes, and where they lie.

A holding knows its place in the region, not the other holdings and not who may evict it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import StrEnum

from runtime.store.errors import PoolRefusedError
from runtime.store.memory.mapped import Mapped
from runtime.store.memory.pages import PAGE_BYTES, Run
from runtime.store.memory.regions import Region


class Held(StrEnum):
    """Whether the bytes are still on their way; pins are counted beside it."""

    LOADING = "loading"
    RESIDENT = "resident"


class Holding:
    """`size_bytes` of one name, on `pages` of the pool's region; the books are the pool's.

    The last page may be filled beyond `size_bytes`, up to `capacity_bytes`: direct reads write
    whole blocks. Buffers and addresses are the region's own; using them after the holding is gone
    is refused, using them up to then is for whoever loads, copies or pins it.
    """

    def __init__(self, name: str, size_bytes: int, runs: Sequence[Run], region: Region) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.runs = tuple(runs)
        self.pages = tuple(page for run in runs for page in range(run.first, run.end))
        self.capacity_bytes = len(self.pages) * PAGE_BYTES
        self.state = Held.LOADING
        self.gone = False
        self.pins = 0
        self.mappings = 0
        self.stitched: Mapped | None = None
        self._region = region
        self._starts = _starts(runs)  # where each run begins, in bytes of the holding

    @property
    def contiguous(self) -> bool:
        """Whether the region shows all of it side by side."""
        return len(self.runs) <= 1

    @property
    def in_use(self) -> bool:
        return self.pins > 0 or self.mappings > 0

    def buffers(self, offset_bytes: int, size_bytes: int) -> list[memoryview]:
        """The bytes from an offset on, as writable views in order: what preadv(2) takes.

        Raises PoolRefusedError when the range leaves `capacity_bytes` or the holding is gone.
        """
        view = self._region.view
        return [
            view[start : start + size] for start, size in self._pieces(offset_bytes, size_bytes)
        ]

    def addresses(self, offset_bytes: int, size_bytes: int) -> list[tuple[int, int]]:
        """The same pieces as (address, size), none of which crosses a border between pinned slices.

        Raises PoolRefusedError as `buffers` does.
        """
        base = self._region.address
        return [(base + start, size) for start, size in self._pieces(offset_bytes, size_bytes)]

    def _pieces(self, offset_bytes: int, size_bytes: int) -> Iterator[tuple[int, int]]:
        """A range of the holding as (offset in the region, size)."""
        self._refuse(offset_bytes, size_bytes)
        number = bisect_right(self._starts, offset_bytes) - 1
        while size_bytes:
            run = self.runs[number]
            inside = offset_bytes - self._starts[number]
            size = min(size_bytes, run.pages * PAGE_BYTES - inside)
            yield from self._region.pieces(run.first * PAGE_BYTES + inside, size)
            number, offset_bytes, size_bytes = number + 1, offset_bytes + size, size_bytes - size

    def _refuse(self, offset_bytes: int, size_bytes: int) -> None:
        if self.gone:
            raise PoolRefusedError(f"{self.name!r} is no longer in the pool")
        if offset_bytes < 0 or size_bytes < 0 or offset_bytes + size_bytes > self.capacity_bytes:
            raise PoolRefusedError(
                f"{size_bytes} bytes at byte {offset_bytes} of {self.name!r}: "
                f"it has room for {self.capacity_bytes}"
            )


def _starts(runs: Sequence[Run]) -> list[int]:
    starts, offset = [], 0
    for run in runs:
        starts.append(offset)
        offset += run.pages * PAGE_BYTES
    return starts
