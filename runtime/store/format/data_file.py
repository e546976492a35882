"""Writes one data file front to back: chunks are hashed and written by threads, out of few buffers.

O_DIRECT where the disk allows it: the page cache neither slows a large write nor is filled by it.
The memory is a few chunks however large the file. It knows offsets, not tensors.
"""

import errno
import fcntl
import mmap
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from runtime.store.errors import NoSpaceError, WriteError
from runtime.store.files import Files
from runtime.store.format.hashing import digest
from runtime.store.format.index import ALIGN_BYTES

Fill = Callable[[memoryview, int], None]
"""Fills memory with bytes of something, from an offset in it on."""

DEPTH: Final = 3  # chunks in flight beside the one that is being filled


class DataFile:
    """A file of `size_bytes` (whole blocks) that is filled in ascending order; gaps are zeros."""

    def __init__(
        self, path: Path, size_bytes: int, *, chunk_bytes: int, hash_name: str, files: Files
    ) -> None:
        """Create the file. Raises WriteError or NoSpaceError."""
        self._path = path
        self._size = size_bytes
        self._chunk = chunk_bytes
        self._hash = hash_name
        self._files = files
        self._written: list[Future[str]] = []
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        for _ in range(DEPTH + 1):
            self._free.put(_memory(chunk_bytes))
        self._current: mmap.mmap | None = None
        self._at = 0  # bytes given so far
        self._known = 0  # chunks known to be written
        with named(path):
            self._descriptor = _create(path, files)
        self._threads = ThreadPoolExecutor(DEPTH, "hotbed-write")

    def put(self, offset_bytes: int, data: memoryview) -> None:
        """Bytes at an offset no smaller than the end of the last ones. Raises as `finish`."""
        self.pour(offset_bytes, len(data), lambda memory, at: _copy(data, memory, at))

    def pour(self, offset_bytes: int, size_bytes: int, fill: Fill) -> None:
        """As `put`, of bytes that `fill(memory, at)` puts in place, from the one at `at` on."""
        assert self._at <= offset_bytes
        assert offset_bytes + size_bytes <= self._size
        self._fill(offset_bytes - self._at, _zeros)
        self._fill(size_bytes, fill)

    def finish(self) -> tuple[str, ...]:
        """The checksum of each chunk, once all of the file is on the disk.

        Raises WriteError, or NoSpaceError where the disk is full.
        """
        self._fill(self._size - self._at, _zeros)
        checksums = tuple(future.result() for future in self._written)
        with named(self._path):
            self._files.sync(self._descriptor)
        return checksums

    def _fill(self, count: int, fill: Fill) -> None:
        """The next bytes of the file, a chunk's share at a time."""
        done = 0
        while done < count:
            inside = self._at % self._chunk
            size = min(count - done, self._chunk - inside)
            buffer = self._buffer()
            fill(memoryview(buffer)[inside : inside + size], done)
            done += size
            self._at += size
            if inside + size == self._chunk or self._at == self._size:
                self._send(buffer, inside + size)

    def _buffer(self) -> mmap.mmap:
        if self._current is None:
            self._current = self._free.get()
            self._raise_early()
        return self._current

    def _raise_early(self) -> None:
        """A chunk that could not be written ends the work now, not at the end of the file."""
        while self._known < len(self._written) and self._written[self._known].done():
            self._written[self._known].result()
            self._known += 1

    def _send(self, buffer: mmap.mmap, size: int) -> None:
        self._current = None
        offset = self._at - size
        self._written.append(self._threads.submit(self._write, buffer, size, offset))

    def _write(self, buffer: mmap.mmap, size: int, offset: int) -> str:
        try:
            with memoryview(buffer)[:size] as data, named(self._path):
                self._write_all(data, offset)
                return digest(self._hash, data)
        finally:
            self._free.put(buffer)

    def _write_all(self, data: memoryview, offset: int) -> None:
        done, refused = 0, False
        while done < len(data):
            try:
                count = self._files.pwrite(self._descriptor, data[done:], offset + done)
            except OSError as error:
                if error.errno != errno.EINVAL or refused:
                    raise
                # Some file systems open a file for direct writes and then refuse them; another
                # thread may have met that already.
                refused = True
                _leave_direct(self._descriptor)
                continue
            if count <= 0:
                raise WriteError(self._path, "nothing was written", offset_bytes=offset + done)
            done += count
            if done % ALIGN_BYTES:  # a direct write cannot go on from within a block
                _leave_direct(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        with named(self._path):
            self._files.close(self._descriptor)


def _memory(size_bytes: int) -> mmap.mmap:
    """A buffer on page borders, on huge pages where they are cheap: fewer pieces a request."""
    memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        pass  # a kernel without them
    return memory


def _create(path: Path, files: Files) -> int:
    try:
        return files.create(path, direct=True)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    path.unlink(missing_ok=True)  # some file systems make the file before they refuse O_DIRECT
    return files.create(path, direct=False)


def _copy(data: memoryview, memory: memoryview, at: int) -> None:
    """By numpy, which lets the writing threads run meanwhile: a slice's assignment would not."""
    piece = np.frombuffer(data[at : at + len(memory)], np.uint8)
    np.copyto(np.frombuffer(memory, np.uint8), piece)


def _zeros(memory: memoryview, at: int) -> None:
    np.frombuffer(memory, np.uint8).fill(0)


def _leave_direct(descriptor: int) -> None:
    """Write through the page cache from here on."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What the operating system refuses is said of the file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(f"{path}: the disk is full; nothing is left behind") from None
        raise WriteError(path, error.strerror or str(error)) from None
