"""Memory is there before anybody touches it, by whichever way the kernel knows."""

import errno
import threading

import pytest

from runtime.store.memory.mapped import MADV_NOHUGEPAGE, Mapped, madvise, resident_bytes
from runtime.store.memory.population import PIECE_BYTES, default_threads, populate

SIZE = 2 * PIECE_BYTES + (6 << 20)


def fresh(size_bytes: int) -> Mapped:
    mapped = Mapped(size_bytes)
    mapped.place(0, size_bytes)
    madvise(mapped.address, size_bytes, MADV_NOHUGEPAGE)
    return mapped


@pytest.mark.parametrize("threads", [1, 3])
def test_every_page_is_resident_afterwards(threads: int) -> None:
    mapped = fresh(SIZE)
    assert resident_bytes(mapped.address, SIZE) == 0
    populate(mapped.address, SIZE, threads=threads)
    assert resident_bytes(mapped.address, SIZE) == SIZE


@pytest.mark.parametrize("threads", [1, 3])
def test_a_kernel_that_cannot_populate_is_made_to_by_touching(threads: int) -> None:
    def unknown(address: int, size_bytes: int) -> None:
        raise OSError(errno.EINVAL, "madvise: Invalid argument")

    mapped = fresh(SIZE)
    populate(mapped.address, SIZE, threads=threads, fault_in=unknown)
    assert resident_bytes(mapped.address, SIZE) == SIZE


@pytest.mark.parametrize("threads", [1, 3])
def test_memory_that_is_not_there_is_an_error_and_is_not_touched(threads: int) -> None:
    def scarce(address: int, size_bytes: int) -> None:
        raise OSError(errno.ENOMEM, "madvise: Cannot allocate memory")

    mapped = fresh(SIZE)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        populate(mapped.address, SIZE, threads=threads, fault_in=scarce)
    assert resident_bytes(mapped.address, SIZE) == 0


def test_pieces_are_shared_out_among_threads_and_cover_the_range_once() -> None:
    together = threading.Barrier(3)
    pieces = []

    def noted(address: int, size_bytes: int) -> None:
        together.wait(timeout=30)  # passes only when three threads have a piece at a time
        pieces.append((address, size_bytes))

    populate(0, SIZE, threads=3, fault_in=noted)
    assert sorted(pieces) == [
        (0, PIECE_BYTES),
        (PIECE_BYTES, PIECE_BYTES),
        (2 * PIECE_BYTES, SIZE - 2 * PIECE_BYTES),
    ]


def test_there_is_a_thread_for_the_work() -> None:
    assert default_threads() >= 1
