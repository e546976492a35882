"""Regions: faulted in, aligned, honest about their pages, and closed in any order."""

import errno
import fcntl
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from runtime.store.errors import StoreError, UnsupportedError
from runtime.store.memory.mapped import resident_bytes
from runtime.store.memory.population import populate_write
from runtime.store.memory.regions import PAGE_BYTES, SEALS, PageKind, Region, register_with_cuda
from tests.runtime.store.memory.test_pinning import Driver

SHARED = (PageKind.HUGETLB, PageKind.SHARED_HUGE, PageKind.SHARED)
PRIVATE = (PageKind.PRIVATE_HUGE, PageKind.PRIVATE)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("huge", [True, False])
def test_a_region_is_resident_aligned_and_all_zero(shared: bool, huge: bool) -> None:
    with Region.create(3 * PAGE_BYTES, shared=shared, huge=huge) as region:
        assert region.kind in (SHARED if shared else PRIVATE)
        assert huge or not region.kind.huge
        assert (region.fd is not None) == shared
        assert region.address % PAGE_BYTES == 0
        assert resident_bytes(region.address, region.size_bytes) == region.size_bytes
        assert not np.frombuffer(region.view, np.uint8).any()


@pytest.mark.parametrize(("size_bytes", "pages"), [(1, 1), (PAGE_BYTES, 1), (PAGE_BYTES + 1, 2)])
def test_a_region_is_whole_pages(size_bytes: int, pages: int) -> None:
    with Region.create(size_bytes) as region:
        assert len(region.view) == region.size_bytes == pages * PAGE_BYTES


@pytest.mark.parametrize("shared", [True, False])
def test_huge_pages_are_claimed_only_if_the_kernel_counts_them(shared: bool) -> None:
    with Region.create(4 * PAGE_BYTES, shared=shared) as region:
        counted = kernel_huge_bytes(region.address, region.address + region.size_bytes)
        assert region.huge_bytes == counted
        assert region.kind.huge == (2 * counted > region.size_bytes)
        assert (region.advice is None) == (counted == region.size_bytes)


def kernel_huge_bytes(start: int, end: int) -> int:
    """By the page size and the huge-page counts of the mappings that lie inside, read afresh."""
    total = 0
    for block in Path("/proc/self/smaps").read_text().split("VmFlags"):
        fields = [line for line in block.splitlines() if line and ":" in line]
        head = next((line for line in fields if "-" in line.split()[0]), None)
        if head is None:
            continue
        low, high = (int(part, 16) for part in head.split()[0].split("-"))
        if start <= low and high <= end:
            numbers = {line.split(":")[0]: line.split(":")[1].split()[0] for line in fields[1:]}
            names = ("AnonHugePages", "ShmemPmdMapped", "Shared_Hugetlb", "Private_Hugetlb")
            total += sum(int(numbers[name]) * 1024 for name in names)
    return total


@pytest.mark.parametrize("without", [(), *combinations(SHARED[:2], 1), SHARED[:2]])
def test_a_refused_kind_falls_back_to_the_next(without: tuple[PageKind, ...]) -> None:
    with Region.create(2 * PAGE_BYTES, without=without) as region:
        assert region.kind in SHARED
        assert region.kind not in without
        region.view[-1] = 9
        assert os.pread(region.fd or -1, 1, region.size_bytes - 1) == b"\x09"


def test_private_memory_falls_back_to_4_kib_pages() -> None:
    with Region.create(2 * PAGE_BYTES, shared=False, without=[PageKind.PRIVATE_HUGE]) as region:
        assert region.kind is PageKind.PRIVATE
        assert region.huge_bytes == 0
        assert region.advice is not None


def test_a_kind_that_the_kernel_fails_is_cleaned_up_before_the_next() -> None:
    asked = []

    def scarce_at_first(address: int, size_bytes: int) -> None:
        asked.append(address)
        if len(asked) == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        populate_write(address, size_bytes)

    before = os.listdir("/proc/self/fd")
    without = [PageKind.HUGETLB]
    with Region.create(PAGE_BYTES, without=without, fault_in=scarce_at_first) as region:
        assert region.kind in SHARED
        assert len(asked) == 2
    assert os.listdir("/proc/self/fd") == before


def test_a_machine_that_refuses_every_kind_is_told_why() -> None:
    with pytest.raises(UnsupportedError, match=r"every kind of page \(hugetlb: .*shmem-thp: not w"):
        Region.create(PAGE_BYTES, without=SHARED)


def test_more_memory_than_there_is_is_refused_before_it_is_taken() -> None:
    with pytest.raises(StoreError, match=r"only \d+ bytes of memory are available"):
        Region.create(1 << 50, without=[PageKind.HUGETLB])


@pytest.mark.parametrize("size_bytes", [0, -1])
def test_a_region_of_nothing_is_refused(size_bytes: int) -> None:
    with pytest.raises(StoreError, match=f"a region of {size_bytes} bytes: it needs at least 1"):
        Region.create(size_bytes)


def test_nobody_can_change_the_size_of_a_shared_region() -> None:
    with Region.create(PAGE_BYTES) as region:
        assert region.fd is not None
        assert fcntl.fcntl(region.fd, fcntl.F_GET_SEALS) & SEALS == SEALS
        with pytest.raises(PermissionError):
            os.ftruncate(region.fd, 0)


def test_a_region_closes_while_it_is_looked_at_and_the_view_stays_true() -> None:
    region = Region.create(PAGE_BYTES)
    region.view[5] = 55
    part = region.view[4:7]
    region.close()
    region.close()
    assert bytes(part) == b"\x00\x37\x00"
    with pytest.raises(StoreError, match="the memory region is closed"):
        _ = region.view


def test_a_region_that_is_forgotten_is_closed_with_a_warning() -> None:
    before = os.listdir("/proc/self/fd")
    forgotten = [Region.create(PAGE_BYTES)]
    with pytest.warns(ResourceWarning, match=f"region of {PAGE_BYTES} bytes was not closed"):
        forgotten.clear()
    assert os.listdir("/proc/self/fd") == before


def test_pinning_registers_every_byte_and_closing_gives_it_back() -> None:
    driver = Driver(limit_bytes=1 << 30)
    with Region.create(5 * PAGE_BYTES) as region:
        register_with_cuda(region, driver, slice_bytes=2 * PAGE_BYTES)
        register_with_cuda(region, driver, slice_bytes=2 * PAGE_BYTES)
        assert region.pinned
        assert list(driver.registered.values()) == [2 * PAGE_BYTES, 2 * PAGE_BYTES, PAGE_BYTES]
        assert min(driver.registered) == region.address
        assert list(region.pieces(PAGE_BYTES, 2 * PAGE_BYTES)) == [
            (PAGE_BYTES, PAGE_BYTES),
            (2 * PAGE_BYTES, PAGE_BYTES),
        ]
    assert driver.registered == {}


def test_a_region_that_cannot_be_pinned_stays_usable() -> None:
    with Region.create(2 * PAGE_BYTES) as region:
        with pytest.raises(StoreError, match="CUDA error 2"):
            register_with_cuda(region, Driver(limit_bytes=PAGE_BYTES), slice_bytes=PAGE_BYTES)
        assert not region.pinned
        assert list(region.pieces(5, PAGE_BYTES)) == [(5, PAGE_BYTES)]


@pytest.mark.parametrize("slice_bytes", [0, -PAGE_BYTES, PAGE_BYTES + 1])
def test_slices_are_whole_pages(slice_bytes: int) -> None:
    with (
        Region.create(PAGE_BYTES) as region,
        pytest.raises(StoreError, match=f"slice_bytes {slice_bytes}: must be a positive multiple"),
    ):
        register_with_cuda(region, Driver(limit_bytes=0), slice_bytes=slice_bytes)


@pytest.mark.gpu
def test_a_device_copies_from_a_pinned_region_and_back() -> None:
    torch = pytest.importorskip("torch", reason="copies to a device are torch's here")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with Region.create(4 * PAGE_BYTES) as region:
        register_with_cuda(region, torch.cuda.cudart(), slice_bytes=2 * PAGE_BYTES)
        host = torch.frombuffer(region.view, dtype=torch.uint8)
        assert host.is_pinned()
        host[: 2 * PAGE_BYTES].random_(0, 255)
        for offset, size in region.pieces(0, 2 * PAGE_BYTES):
            device = host[offset : offset + size].to("cuda", non_blocking=True)
            host[offset + 2 * PAGE_BYTES :][:size].copy_(device, non_blocking=True)
        torch.cuda.synchronize()
        assert torch.equal(host[: 2 * PAGE_BYTES], host[2 * PAGE_BYTES :])
