"""Free pages: none is lost, none is given twice, and runs stay as long as they can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store.memory.pages import PAGE_BYTES, FreePages, Run, pages_for, runs_of


@pytest.mark.parametrize(
    ("size_bytes", "pages"),
    [(0, 0), (1, 1), (PAGE_BYTES - 1, 1), (PAGE_BYTES, 1), (PAGE_BYTES + 1, 2)],
)
def test_a_begun_page_is_a_page(size_bytes: int, pages: int) -> None:
    assert pages_for(size_bytes) == pages


def test_pages_in_a_row_are_one_run_and_others_keep_their_order() -> None:
    assert runs_of([4, 5, 6, 2, 3, 9, 8]) == [Run(4, 3), Run(2, 2), Run(9, 1), Run(8, 1)]


@given(st.lists(st.integers(0, 50), unique=True))
def test_runs_hold_the_pages_they_were_made_of(pages: list[int]) -> None:
    assert [page for run in runs_of(pages) for page in range(run.first, run.end)] == pages


def test_what_fits_takes_the_smallest_run_that_is_long_enough() -> None:
    free = with_free(20, [Run(0, 5), Run(8, 3), Run(13, 7)])
    assert free.take(2) == [Run(8, 2)]
    assert free.take(5) == [Run(0, 5)]
    assert free.longest == 7


def test_what_fits_nowhere_takes_the_longest_runs_by_place() -> None:
    free = with_free(20, [Run(0, 5), Run(8, 3), Run(13, 7)])
    assert free.take(13) == [Run(0, 5), Run(8, 1), Run(13, 7)]
    assert free.runs() == [Run(9, 2)]


def test_pages_that_must_lie_together_are_refused_when_they_lie_apart() -> None:
    free = with_free(20, [Run(0, 5), Run(8, 3)])
    assert free.take(6, together=True) is None
    assert free.take(5, together=True) == [Run(0, 5)]


def test_more_than_there_is_is_refused_and_takes_nothing() -> None:
    free = FreePages(4)
    assert free.take(5) is None
    assert free.free == 4
    assert FreePages(0).take(1) is None


def test_no_pages_are_always_there() -> None:
    assert FreePages(0).take(0) == []
    assert FreePages(0).longest == 0


def test_runs_grow_together_with_the_neighbours_on_both_sides() -> None:
    free = FreePages(9)
    left, middle, right = (taken(free, 3) for _ in range(3))
    free.give(left)
    free.give(right)
    assert free.runs() == [Run(0, 3), Run(6, 3)]
    free.give(middle)
    assert free.runs() == [Run(0, 9)]
    assert free.longest == 9


@given(st.integers(0, 40), st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=40))
def test_every_page_is_free_or_taken_once(total: int, steps: list[tuple[bool, int]]) -> None:
    free = FreePages(total)
    held: list[list[Run]] = []
    for takes, amount in steps:
        if takes:
            found = free.take(amount)
            assert (found is None) == (amount > total - pages_in(held))
            if found is not None:
                held.append(found)
        elif held:
            free.give(held.pop(amount % len(held)))
        pages = [page for runs in (*held, free.runs()) for run in runs for page in range_of(run)]
        assert sorted(pages) == list(range(total))
        assert free.free == total - pages_in(held)
        assert free.longest == max((run.pages for run in free.runs()), default=0)
        assert all(a.end < b.first for a, b in zip(free.runs(), free.runs()[1:], strict=False))


def range_of(run: Run) -> range:
    return range(run.first, run.end)


def pages_in(held: list[list[Run]]) -> int:
    return sum(run.pages for runs in held for run in runs)


def taken(free: FreePages, pages: int) -> list[Run]:
    found = free.take(pages)
    assert found is not None
    return found


def with_free(total: int, runs: list[Run]) -> FreePages:
    """All pages taken, and these given back."""
    free = FreePages(total)
    taken(free, total)
    free.give(runs)
    return free
