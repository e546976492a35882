"""A region in another process: its descriptor goes over a Unix socket, and no byte is copied.

The agent sends the region once, and later only page numbers; what they hold, and that it stays
(a pin), is settled between the two. Knows neither names nor books.
"""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from runtime.store.closing import Closing
from runtime.store.errors import StoreError, UnsupportedError
from runtime.store.memory.mappings import Mapping
from runtime.store.memory.pages import PAGE_BYTES, pages_for, runs_of
from runtime.store.memory.regions import SEALS, Region
from runtime.store.memory.stitching import stitch

_MESSAGE: Final = struct.Struct("<8sQQ?")  # magic, region bytes, page bytes, writable
_MAGIC: Final = b"hotbedR1"


def send_region(connection: socket.socket, region: Region, *, writable: bool = False) -> None:
    """Hand a shared region to the process at the other end of a Unix socket.

    Unless `writable`, it gets a descriptor for reading only, which keeps it from writing by
    mistake; a process of the same user could still undo that. Raises UnsupportedError
    for a private region, StoreError when closed; OSError is the socket's.
    """
    if region.closed:
        raise StoreError("the memory region is closed")
    if region.fd is None:
        raise UnsupportedError(
            f"a region of kind {region.kind} is private to its process: create it with shared=True"
        )
    message = _MESSAGE.pack(_MAGIC, region.size_bytes, PAGE_BYTES, writable)
    with _sendable(region.fd, writable=writable) as fd:
        # Ancillary data goes with the first byte; the rest of so short a message may still wait.
        sent = socket.send_fds(connection, [message], [fd])
        connection.sendall(message[sent:])


@contextmanager
def _sendable(fd: int, *, writable: bool) -> Iterator[int]:
    if writable:
        yield fd
        return
    reopened = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield reopened
    finally:
        os.close(reopened)


def receive_region(connection: socket.socket) -> "SharedRegion":
    """The region that the other end sends. Raises StoreError when something else comes."""
    message, fds, _, _ = socket.recv_fds(connection, _MESSAGE.size, 1, socket.MSG_CMSG_CLOEXEC)
    try:
        while message and len(message) < _MESSAGE.size:
            more = connection.recv(_MESSAGE.size - len(message))
            if not more:
                break
            message += more
        size_bytes, writable = _checked(message, fds)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return SharedRegion(fds[0], size_bytes, writable=writable)


def _checked(message: bytes, fds: Sequence[int]) -> tuple[int, bool]:
    """(region bytes, writable) of a message that is whole and true of its descriptor."""
    if len(message) < _MESSAGE.size or len(fds) != 1:
        raise StoreError(
            f"no memory region came: {len(message)} of {_MESSAGE.size} bytes, "
            f"{len(fds)} descriptors"
        )
    magic, size_bytes, page_bytes, writable = _MESSAGE.unpack(message)
    if magic != _MAGIC or page_bytes != PAGE_BYTES:
        raise StoreError(
            f"a memory region of another kind came: {magic!r} with pages of {page_bytes} bytes; "
            f"known is {_MAGIC!r} with {PAGE_BYTES}"
        )
    actual = os.fstat(fds[0]).st_size
    if actual != size_bytes or size_bytes % PAGE_BYTES:
        raise StoreError(f"the memory region that came is {actual} bytes, not {size_bytes}")
    _refuse_unsealed(fds[0])
    return size_bytes, writable


def _refuse_unsealed(fd: int) -> None:
    """Whoever could shrink the file could kill its readers."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise StoreError(f"the memory region that came is no memfd: {error.strerror}") from None
    if seals & SEALS != SEALS:
        raise StoreError("the memory region that came can still change its size")


class SharedRegion(Closing):
    """Another process's region of `size_bytes`; mappings of it outlive the descriptor."""

    def __init__(self, fd: int, size_bytes: int, *, writable: bool) -> None:
        """Own the descriptor: see `receive_region`."""
        self.size_bytes = size_bytes
        self.writable = writable
        self._fd: int | None = fd

    def map(self, pages: Sequence[int], size_bytes: int, *, writable: bool = False) -> Mapping:
        """The first `size_bytes` of these pages, side by side and in this order.

        Raises StoreError for pages that the region has not, too few of them, or a wish to write
        where only reading was granted.
        """
        if self._fd is None:
            raise StoreError("the shared memory region is closed")
        if writable and not self.writable:
            raise StoreError("the shared memory region may only be read")
        total = self.size_bytes // PAGE_BYTES
        for page in pages:
            if not 0 <= page < total:
                raise StoreError(f"page {page}: the shared region has pages 0 to {total - 1}")
        if size_bytes < 0 or pages_for(size_bytes) > len(pages):
            raise StoreError(f"size_bytes {size_bytes}: {len(pages)} pages were given for it")
        mapped = stitch(self._fd, runs_of(pages), writable=writable)
        return Mapping(mapped.export(0, size_bytes, writable=writable), mapped.address, size_bytes)

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
