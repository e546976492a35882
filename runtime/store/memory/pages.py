"""Which pages of a pool are free, kept as runs of neighbours. Knows no names, bytes or threads.

Free runs are kept twice: by place, so that a run given back grows together with its neighbours in
constant time, and sorted by length, so that the smallest run that fits is found by bisection.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

PAGE_BYTES: Final = 2 << 20
"""A page of the pool: one huge page of x86-64 and of arm64 with 4 KiB base pages."""


class Run(NamedTuple):
    """Neighbouring pages: `pages` of them, from page number `first` on."""

    first: int
    pages: int

    @property
    def end(self) -> int:
        """The page number after the last."""
        return self.first + self.pages


def pages_for(size_bytes: int) -> int:
    """How many pages hold that many bytes: none for none."""
    return -(-size_bytes // PAGE_BYTES)


def runs_of(pages: Iterable[int]) -> list[Run]:
    """Page numbers in the order of the bytes they hold, as the fewest runs in that order."""
    runs: list[Run] = []
    for page in pages:
        if runs and runs[-1].end == page:
            runs[-1] = Run(runs[-1].first, runs[-1].pages + 1)
        else:
            runs.append(Run(page, 1))
    return runs


class FreePages:
    """The free ones of pages 0 to `pages` - 1; all are free at first."""

    def __init__(self, pages: int) -> None:
        self.total = pages
        self.free = 0
        self._by_size: list[tuple[int, int]] = []  # (pages, first), ascending
        self._by_first: dict[int, int] = {}  # first -> pages
        self._by_end: dict[int, int] = {}  # end -> first
        if pages:
            self._add(Run(0, pages))

    @property
    def longest(self) -> int:
        """Pages in the longest free run; 0 when nothing is free."""
        return self._by_size[-1][0] if self._by_size else 0

    def runs(self) -> list[Run]:
        """The free runs by place: no two of them touch."""
        return [Run(first, pages) for first, pages in sorted(self._by_first.items())]

    def take(self, pages: int, *, together: bool = False) -> list[Run] | None:
        """That many pages in as few runs as there can be, by place; None if they are not there.

        `together` asks for a single run. What fits somewhere whole takes the smallest such run, so
        that long runs stay long for large models.
        """
        if pages > self.free or (together and pages > self.longest):
            return None
        taken: list[Run] = []
        wanted = pages
        while wanted:
            taken.append(self._take_best(wanted))
            wanted -= taken[-1].pages
        return sorted(taken)

    def give(self, runs: Sequence[Run]) -> None:
        """Make pages free again that `take` gave."""
        for run in runs:
            self._add(self._grown(run))

    def _take_best(self, pages: int) -> Run:
        """The smallest run that is long enough, cut to size, or else the longest."""
        place = bisect_left(self._by_size, (pages, 0))
        found = self._by_size[min(place, len(self._by_size) - 1)]
        run = Run(found[1], found[0])
        self._remove(run)
        if run.pages > pages:
            self._add(Run(run.first + pages, run.pages - pages))
            run = Run(run.first, pages)
        return run

    def _grown(self, run: Run) -> Run:
        """`run` with the free runs on either side, which leave the books."""
        before = self._by_end.get(run.first)
        if before is not None:
            self._remove(Run(before, run.first - before))
            run = Run(before, run.end - before)
        after = self._by_first.get(run.end)
        if after is not None:
            self._remove(Run(run.end, after))
            run = Run(run.first, run.pages + after)
        return run

    def _add(self, run: Run) -> None:
        insort(self._by_size, (run.pages, run.first))
        self._by_first[run.first] = run.pages
        self._by_end[run.end] = run.first
        self.free += run.pages

    def _remove(self, run: Run) -> None:
        del self._by_size[bisect_left(self._by_size, (run.pages, run.first))]
        del self._by_first[run.first]
        del self._by_end[run.end]
        self.free -= run.pages
