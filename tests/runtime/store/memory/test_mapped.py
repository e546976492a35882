"""Memory by address: placed where it is told, there as long as it is looked at."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.store.memory.mapped import Mapped, madvise, resident_bytes
from runtime.store.memory.pages import PAGE_BYTES


@pytest.fixture
def file() -> Iterator[int]:
    """A memfd of four pages, each filled with its number."""
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    for page in range(4):
        os.write(fd, bytes([page]) * PAGE_BYTES)
    yield fd
    os.close(fd)


def test_a_range_is_aligned_to_pages_of_2_mib() -> None:
    assert Mapped(PAGE_BYTES).address % PAGE_BYTES == 0


def test_parts_of_a_file_lie_where_they_were_placed(file: int) -> None:
    mapped = Mapped(3 * PAGE_BYTES)
    for offset, page in enumerate((3, 1, 2)):
        mapped.place(
            offset * PAGE_BYTES,
            PAGE_BYTES,
            descriptor=file,
            file_offset_bytes=page * PAGE_BYTES,
            writable=False,
        )
    view = mapped.export(0, 3 * PAGE_BYTES, writable=False).view()
    assert bytes(view[:: PAGE_BYTES // 2]) == bytes([3, 3, 1, 1, 2, 2])


def test_what_is_written_to_a_file_mapping_is_in_the_file(file: int) -> None:
    mapped = Mapped(PAGE_BYTES)
    mapped.place(0, PAGE_BYTES, descriptor=file, file_offset_bytes=2 * PAGE_BYTES)
    mapped.export(100, 5, writable=True).view()[:] = b"hello"
    assert os.pread(file, 7, 2 * PAGE_BYTES + 99) == b"\2hello\2"


def test_a_view_keeps_the_memory_when_everything_else_has_gone(file: int) -> None:
    mapped = Mapped(PAGE_BYTES)
    mapped.place(0, PAGE_BYTES, descriptor=file, file_offset_bytes=PAGE_BYTES)
    address = mapped.address
    part = np.frombuffer(mapped.export(0, PAGE_BYTES, writable=True).view(), np.uint8)[7:9]
    del mapped
    gc.collect()
    assert mapped_at(address)
    assert part.tolist() == [1, 1]
    del part
    assert not mapped_at(address)


def test_a_view_may_be_read_only() -> None:
    mapped = Mapped(PAGE_BYTES)
    mapped.place(0, PAGE_BYTES)
    view = mapped.export(0, 8, writable=False).view()
    assert view.readonly
    with pytest.raises(TypeError, match="read-only"):
        view[0] = 1


def test_an_empty_view_is_a_view() -> None:
    mapped = Mapped(PAGE_BYTES)
    assert bytes(mapped.export(PAGE_BYTES, 0, writable=True).view()) == b""


@pytest.mark.parametrize(("offset", "size"), [(-1, 5), (PAGE_BYTES, 1), (0, PAGE_BYTES + 1)])
def test_nothing_lies_outside_of_the_range(offset: int, size: int) -> None:
    mapped = Mapped(PAGE_BYTES)
    with pytest.raises(IndexError, match="leave the mapped range"):
        mapped.export(offset, size, writable=False)
    with pytest.raises(IndexError, match="leave the reserved range"):
        mapped.place(offset, size)


def test_the_kernels_refusals_are_errors_with_its_words(file: int) -> None:
    mapped = Mapped(PAGE_BYTES)
    with pytest.raises(OSError, match="mmap: Invalid argument"):
        mapped.place(0, PAGE_BYTES, descriptor=file, file_offset_bytes=1)
    with pytest.raises(OSError, match="madvise: Invalid argument"):
        madvise(mapped.address, PAGE_BYTES, 9999)
    with pytest.raises(OSError, match="mmap: Cannot allocate memory"):
        Mapped(1 << 60)


def test_only_what_was_touched_is_resident() -> None:
    mapped = Mapped(PAGE_BYTES)
    mapped.place(0, PAGE_BYTES)
    madvise(mapped.address, PAGE_BYTES, 15)  # MADV_NOHUGEPAGE
    assert resident_bytes(mapped.address, PAGE_BYTES) == 0
    mapped.export(8192, 1, writable=True).view()[0] = 1
    assert resident_bytes(mapped.address, PAGE_BYTES) == 4096


def mapped_at(address: int) -> bool:
    """Whether the process has anything there that can be read."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights = line.split()[:2]
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= address < end and "r" in rights:
            return True
    return False
