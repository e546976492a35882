"""Stitching: pages that lie apart, shown side by side."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store.errors import StoreError
from runtime.store.memory.pages import PAGE_BYTES, Run, runs_of
from runtime.store.memory.regions import Region
from runtime.store.memory.stitching import stitch

PAGES = 6


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    """Six pages, each with its number at its first and last byte."""
    with Region.create(PAGES * PAGE_BYTES) as made:
        view = made.view
        for page in range(PAGES):
            view[page * PAGE_BYTES] = view[(page + 1) * PAGE_BYTES - 1] = page + 1
        yield made


@given(pages=st.lists(st.integers(0, PAGES - 1), unique=True, min_size=1))
def test_pages_show_in_the_order_they_were_named(region: Region, pages: list[int]) -> None:
    assert region.fd is not None
    mapped = stitch(region.fd, runs_of(pages), writable=False)
    view = mapped.export(0, len(pages) * PAGE_BYTES, writable=False).view()
    assert [view[place * PAGE_BYTES] - 1 for place in range(len(pages))] == pages
    assert [view[place * PAGE_BYTES - 1] - 1 for place in range(1, len(pages) + 1)] == pages


def test_what_is_written_through_a_stitched_view_is_in_the_region(region: Region) -> None:
    assert region.fd is not None
    mapped = stitch(region.fd, [Run(4, 1), Run(1, 1)])
    view = mapped.export(0, 2 * PAGE_BYTES, writable=True).view()
    view[PAGE_BYTES - 2 : PAGE_BYTES - 1] = b"a"
    view[PAGE_BYTES + 1 : PAGE_BYTES + 3] = b"bc"
    assert region.view[5 * PAGE_BYTES - 2] == ord("a")
    assert bytes(region.view[PAGE_BYTES + 1 :][:2]) == b"bc"


def test_what_cannot_be_mapped_is_told(region: Region) -> None:
    descriptor = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with pytest.raises(StoreError, match=r"cannot map pages \(runs: 1\): mmap: "):
            stitch(descriptor, [Run(0, 1)])
    finally:
        os.close(descriptor)
