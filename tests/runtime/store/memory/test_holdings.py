"""A holding: where its bytes lie in the region, in order."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store.errors import PoolRefusedError
from runtime.store.memory.holdings import Held, Holding
from runtime.store.memory.pages import PAGE_BYTES, Run
from runtime.store.memory.regions import Region, register_with_cuda
from tests.runtime.store.memory.test_pinning import Driver

RUNS = (Run(1, 2), Run(4, 1), Run(6, 2))
CAPACITY = 5 * PAGE_BYTES
PLACES = st.builds(
    lambda page, beside: min(max(0, page * PAGE_BYTES + beside), CAPACITY),
    st.integers(0, 5),
    st.sampled_from([-4096, -1, 0, 1, 4096, PAGE_BYTES // 2]),
)


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    with Region.create(8 * PAGE_BYTES) as made:
        yield made


def in_region(offset: int) -> int:
    """Where a byte of a holding on RUNS lies, page by page."""
    page = [page for run in RUNS for page in range(run.first, run.end)][offset // PAGE_BYTES]
    return page * PAGE_BYTES + offset % PAGE_BYTES


def test_a_holding_begins_loading_on_whole_pages(region: Region) -> None:
    holding = Holding("m", CAPACITY - 7, RUNS, region)
    assert holding.state is Held.LOADING
    assert holding.pages == (1, 2, 4, 6, 7)
    assert (holding.size_bytes, holding.capacity_bytes) == (CAPACITY - 7, CAPACITY)


@given(PLACES, PLACES)
def test_buffers_and_addresses_are_the_same_bytes_in_order(
    region: Region, offset: int, end: int
) -> None:
    holding = Holding("m", CAPACITY - 7, RUNS, region)
    size = max(0, end - offset)
    buffers = holding.buffers(offset, size)
    found = [(np.frombuffer(view, np.uint8).ctypes.data, len(view)) for view in buffers]
    assert found == holding.addresses(offset, size)
    at = offset
    for address, length in found:
        assert address - region.address == in_region(at)
        assert address + length - 1 - region.address == in_region(at + length - 1)
        at += length
    assert at == offset + size


def test_a_whole_holding_is_a_buffer_for_each_run(region: Region) -> None:
    holding = Holding("m", CAPACITY, RUNS, region)
    sizes = [len(view) for view in holding.buffers(0, CAPACITY)]
    assert sizes == [2 * PAGE_BYTES, PAGE_BYTES, 2 * PAGE_BYTES]


def test_pieces_of_pinned_memory_cross_no_border_between_its_slices() -> None:
    with Region.create(8 * PAGE_BYTES) as region:
        holding = Holding("m", CAPACITY, RUNS, region)
        register_with_cuda(region, Driver(CAPACITY * 2), slice_bytes=2 * PAGE_BYTES)
        places = [
            ((address - region.address) // PAGE_BYTES, size // PAGE_BYTES)
            for address, size in holding.addresses(0, CAPACITY)
        ]
        assert places == [(1, 1), (2, 1), (4, 1), (6, 2)]


def test_a_holding_of_nothing_has_no_buffers(region: Region) -> None:
    holding = Holding("empty", 0, (), region)
    assert holding.buffers(0, 0) == []
    assert holding.contiguous


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, -1), (CAPACITY, 1), (1, CAPACITY)])
def test_a_range_beyond_its_pages_is_refused(region: Region, offset: int, size: int) -> None:
    holding = Holding("m", CAPACITY, RUNS, region)
    with pytest.raises(
        PoolRefusedError, match=f"{size} bytes at byte {offset} of 'm': it has room"
    ):
        holding.buffers(offset, size)


def test_a_holding_that_is_gone_shows_nothing(region: Region) -> None:
    holding = Holding("m", CAPACITY, RUNS, region)
    holding.gone = True
    with pytest.raises(PoolRefusedError, match="'m' is no longer in the pool"):
        holding.addresses(0, 1)
