"""Memory by its address: mapped where it is told, unmapped when the last view of it is gone.

Python's mmap objects cannot be placed at an address, and cannot be closed while a view of them
lives. Here a view keeps its mapping alive instead: closing is always allowed, and no view can ever
point at memory that is no longer there. This module knows no pages of a pool and no books.
"""

import ctypes
import mmap
import os
import weakref
from typing import Any, Final

import numpy as np

from runtime.store.memory.pages import PAGE_BYTES

# Linux's numbers (linux/mman.h), the same on x86-64 and arm64.
MADV_HUGEPAGE: Final = 14
MADV_NOHUGEPAGE: Final = 15
MADV_DONTDUMP: Final = 16
MADV_POPULATE_WRITE: Final = 23
_PROT_NONE: Final = 0
_MAP_FIXED: Final = 0x10
_MAP_NORESERVE: Final = 0x4000
_MAP_FAILED: Final = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)  # its calls release the interpreter's lock
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def _mmap(
    address: int | None, size_bytes: int, protection: int, flags: int, at: tuple[int, int]
) -> int:
    """The address of a new mapping of (descriptor, offset) `at`; a descriptor of -1: no file."""
    found = _libc.mmap(address, size_bytes, protection, flags, *at)
    if found is None or found == _MAP_FAILED:
        raise _failure("mmap")
    return int(found)


def madvise(address: int, size_bytes: int, advice: int) -> None:
    """madvise(2) on whole 4 KiB pages. Raises OSError."""
    if _libc.madvise(address, size_bytes, advice):
        raise _failure("madvise")


def resident_bytes(address: int, size_bytes: int) -> int:
    """How much of a mapped range is in memory, by mincore(2). The address is page-aligned."""
    pages = -(-size_bytes // mmap.PAGESIZE)
    found = ctypes.create_string_buffer(pages)
    if _libc.mincore(address, size_bytes, found):
        raise _failure("mincore")
    return sum(byte & 1 for byte in found.raw[:pages]) * mmap.PAGESIZE


def _unmap(address: int, size_bytes: int) -> None:
    if _libc.munmap(address, size_bytes):
        raise _failure("munmap")


class Exporter:
    """What views of one address range refer to: it keeps `owner` alive as long as they live.

    numpy reads `__array_interface__`; every view made from that array, by slicing, numpy or torch,
    holds the array and thereby this object.
    """

    __slots__ = ("__array_interface__", "__weakref__", "owner")

    def __init__(self, owner: object, address: int, size_bytes: int, *, writable: bool) -> None:
        self.owner = owner
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "typestr": "|u1",
            "shape": (size_bytes,),
            "data": (address, not writable),
        }

    def view(self) -> memoryview:
        """The bytes, as a flat view of unsigned bytes."""
        return np.asarray(self).data


class Mapped:
    """A range of addresses of this process, 2 MiB aligned, with room to breathe on either side.

    The range is reserved without memory, and touching it is an error until `place` puts something
    there; the guard on either side makes a stray access fail and keeps the kernel from merging the
    range with a neighbour, whose huge pages would then be counted as ours.
    """

    def __init__(self, size_bytes: int) -> None:
        """Reserve `size_bytes`, a multiple of 2 MiB. Raises OSError."""
        reserved_bytes = size_bytes + 2 * PAGE_BYTES
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        base = _mmap(None, reserved_bytes, _PROT_NONE, flags, (-1, 0))
        self.size_bytes = size_bytes
        self.address = (base // PAGE_BYTES + 1) * PAGE_BYTES
        # Not at exit: the process goes with all its memory, and views may live until then.
        weakref.finalize(self, _unmap, base, reserved_bytes).atexit = False

    def place(
        self,
        offset_bytes: int,
        size_bytes: int,
        *,
        descriptor: int | None = None,
        file_offset_bytes: int = 0,
        writable: bool = True,
    ) -> None:
        """Put part of a file, or private memory without one, at an offset. Raises OSError."""
        if offset_bytes < 0 or size_bytes <= 0 or offset_bytes + size_bytes > self.size_bytes:
            raise IndexError(f"{size_bytes} bytes at {offset_bytes} leave the reserved range")
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        if descriptor is None:
            at, flags = (-1, 0), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
        else:
            at, flags = (descriptor, file_offset_bytes), mmap.MAP_SHARED | _MAP_FIXED
        _mmap(self.address + offset_bytes, size_bytes, protection, flags, at)

    def export(self, offset_bytes: int, size_bytes: int, *, writable: bool) -> Exporter:
        """Part of the range, for views of it."""
        if offset_bytes < 0 or size_bytes < 0 or offset_bytes + size_bytes > self.size_bytes:
            raise IndexError(f"{size_bytes} bytes at {offset_bytes} leave the mapped range")
        return Exporter(self, self.address + offset_bytes, size_bytes, writable=writable)
