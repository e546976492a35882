"""Pinning in slices: all of a range or nothing, and given back in full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store.errors import StoreError
from runtime.store.memory.pinning import Pinned, cut_at

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
NOT_REGISTERED = 713  # cudaErrorHostMemoryNotRegistered


class Driver:
    """The CUDA runtime's books of registered host memory, with a limit; no device behind them."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.registered: dict[int, int] = {}

    def cudaHostRegister(self, address: int, size_bytes: int, flags: int) -> int:  # noqa: N802
        assert flags == 1
        if sum(self.registered.values()) + size_bytes > self.limit_bytes:
            return OUT_OF_MEMORY
        self.registered[address] = size_bytes
        return 0

    def cudaHostUnregister(self, address: int) -> int:  # noqa: N802
        return 0 if self.registered.pop(address, None) else NOT_REGISTERED


def test_a_range_is_registered_slice_by_slice_and_given_back() -> None:
    driver = Driver(limit_bytes=100)
    pinned = Pinned(4096, 25, driver, slice_bytes=10)
    assert driver.registered == {4096: 10, 4106: 10, 4116: 5}
    pinned.close()
    pinned.close()
    assert driver.registered == {}


def test_what_cannot_be_pinned_whole_is_not_pinned_at_all() -> None:
    driver = Driver(limit_bytes=15)
    with pytest.raises(
        StoreError, match="cannot pin 10 bytes of host memory at byte 10 of 25: CUDA"
    ):
        Pinned(4096, 25, driver, slice_bytes=10)
    assert driver.registered == {}


def test_a_slice_that_cannot_be_unpinned_is_told_after_the_others_are() -> None:
    driver = Driver(limit_bytes=100)
    pinned = Pinned(4096, 25, driver, slice_bytes=10)
    del driver.registered[4106]
    with pytest.raises(StoreError, match="cannot unpin host memory: CUDA error 713"):
        pinned.close()
    assert driver.registered == {}


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 30))
def test_pieces_cover_a_range_and_cross_no_border(offset: int, size: int, border: int) -> None:
    at = offset
    for start, length in cut_at(offset, size, border):
        assert start == at
        assert length > 0
        assert start // border == (start + length - 1) // border
        at += length
    assert at == offset + size
