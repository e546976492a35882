"""Fault memory in before anybody waits for it, with several threads.

The first touch of a page costs a walk through the kernel and a zeroed page, which inside a load is
dearer than the load itself. Knows addresses only.
"""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from runtime.store.memory.mapped import MADV_POPULATE_WRITE, Exporter, madvise

PIECE_BYTES: Final = 64 << 20
"""What one thread faults in at a time: large enough to be few calls, small enough to share out."""

SMALLEST_PAGE_BYTES: Final = 4096


def default_threads() -> int:
    """Threads that fault memory in: one per core, up to where the kernel's own locks take over."""
    return min(16, len(os.sched_getaffinity(0)))


def populate_write(address: int, size_bytes: int) -> None:
    """Prefault for writing, by MADV_POPULATE_WRITE (Linux 5.14).

    Raises OSError: EINVAL where the kernel does not know it; ENOMEM or EFAULT where there is no
    memory, which by touching would have been a SIGBUS.
    """
    madvise(address, size_bytes, MADV_POPULATE_WRITE)


def touch(address: int, size_bytes: int) -> None:
    """Write a zero into every 4 KiB: for memory that nobody has written to yet."""
    np.asarray(Exporter(None, address, size_bytes, writable=True))[::SMALLEST_PAGE_BYTES] = 0


def populate(
    address: int,
    size_bytes: int,
    *,
    threads: int,
    fault_in: Callable[[int, int], None] = populate_write,
) -> None:
    """Fault a fresh range in, piece by piece, every thread taking the next.

    Falls back to touching where the kernel does not know `fault_in`. Raises OSError.
    """

    def one(offset: int) -> None:
        piece = min(PIECE_BYTES, size_bytes - offset)
        try:
            fault_in(address + offset, piece)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            touch(address + offset, piece)

    offsets = range(0, size_bytes, PIECE_BYTES)
    if threads == 1 or len(offsets) == 1:
        for offset in offsets:
            one(offset)
        return
    with ThreadPoolExecutor(min(threads, len(offsets)), "populate") as pool:
        for _ in pool.map(one, offsets):
            pass
