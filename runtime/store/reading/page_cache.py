"""What of a file lies in the page cache: reading that is a copy in memory, not the disk's work."""

import ctypes
import os
from pathlib import Path
from typing import Final

LIBC: Final = ctypes.CDLL(None, use_errno=True)
CACHESTAT: Final = 451  # its number on every architecture; Linux 6.5 and later
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class _Range(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class _Counts(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64) for name in ("cached", "dirty", "writeback", "evicted", "recently")
    ]


def cached_share(descriptor: int) -> float | None:
    """The share of an open file's pages that are in the page cache; 1 for an empty file.

    None where the kernel cannot say (before Linux 6.5, and some network file systems).
    """
    size = os.fstat(descriptor).st_size
    if not size:
        return 1.0
    counts = _Counts()
    whole = _Range(0, 0)  # a length of 0 means up to the end
    if LIBC.syscall(CACHESTAT, descriptor, ctypes.byref(whole), ctypes.byref(counts), 0):
        return None
    return min(1.0, int(counts.cached) * PAGE_BYTES / size)


def drop_cached(path: Path) -> float | None:
    """Put a file's pages out of the page cache; gives the share that stayed, as `cached_share`.

    Raises OSError. Pages that some process has mapped stay.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)  # dirty pages would stay
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return cached_share(descriptor)
    finally:
        os.close(descriptor)
