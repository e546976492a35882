"""What disk and memory give at best, by the plainest code: the yardstick of every loader.

One region of private huge pages, faulted in once and as large as the largest checkpoint, is read
into, written from and copied within. A destination that stays in the processor's cache lets a disk
look a fifth faster than any reader that fills memory can be (`disk_hot_buffer` shows by how much).
It knows no format.
"""

import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from runtime.store.errors import ReadError, UnsupportedError, WriteError
from runtime.store.memory.regions import Region

THREADS: Final = 4
CACHED_THREADS: Final = 2
CHUNK_BYTES: Final = 16 << 20
HOT_BYTES: Final = 4 << 20
SECTOR_BYTES: Final = 4096

Transfer = Callable[[int, int], None]  # offset in the file, bytes


class Ceilings:
    """Measures into memory of `size_bytes`, which it holds until `close`. Returns (bytes, s)."""

    def __init__(self, size_bytes: int) -> None:
        self._region = Region.create(size_bytes, shared=False, huge=True)
        self._view = self._region.view

    @property
    def huge_share(self) -> float:
        """How much of the memory really lies on huge pages: on others the disk looks slower."""
        return self._region.huge_bytes / self._region.size_bytes

    def disk(self, path: Path, size_bytes: int | None = None) -> tuple[int, float]:
        """O_DIRECT reads of the file, each chunk to a place of its own."""
        fits = min(size_bytes or path.stat().st_size, self._region.size_bytes)
        return self._read(path, fits // SECTOR_BYTES * SECTOR_BYTES, direct=True)

    def disk_hot_buffer(self, path: Path) -> tuple[int, float]:
        """O_DIRECT reads by one thread into the same few MiB again and again."""
        size = path.stat().st_size // SECTOR_BYTES * SECTOR_BYTES
        descriptor = _open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            return size, _in_threads(
                lambda offset, length: self._fill(path, descriptor, offset, length, at=0),
                size,
                chunk_bytes=HOT_BYTES,
                threads=1,
            )
        finally:
            os.close(descriptor)

    def page_cache(self, path: Path) -> tuple[int, float]:
        """Buffered reads of a file by as many threads as a copy of memory needs."""
        return self._read(path, min(path.stat().st_size, self._region.size_bytes), direct=False)

    def disk_write(self, path: Path, size_bytes: int) -> tuple[int, float]:
        """O_DIRECT writes of a file that is not there yet, with its fsync; it is removed."""
        size = min(size_bytes, self._region.size_bytes) // SECTOR_BYTES * SECTOR_BYTES
        descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT)
        try:
            begin = time.perf_counter()
            os.posix_fallocate(descriptor, 0, size)
            _in_threads(
                lambda offset, length: self._drain(path, descriptor, offset, length),
                size,
                chunk_bytes=CHUNK_BYTES,
                threads=THREADS,
            )
            os.fsync(descriptor)
            return size, time.perf_counter() - begin
        finally:
            os.close(descriptor)
            path.unlink()

    def memcpy(self, size_bytes: int) -> tuple[int, float]:
        """C's memcpy by one thread from one half of the memory to the other."""
        half = self._region.size_bytes // 2
        address, left = self._region.address, size_bytes
        begin = time.perf_counter()
        while left:
            length = min(left, half)
            ctypes.memmove(address + half, address, length)
            left -= length
        return size_bytes, time.perf_counter() - begin

    def held(self, size_bytes: int) -> bytes:
        """What lies in the first bytes of the memory: that of the last read."""
        return bytes(self._view[:size_bytes])

    def _read(self, path: Path, size: int, *, direct: bool) -> tuple[int, float]:
        descriptor = _open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))
        try:
            return size, _in_threads(
                lambda offset, length: self._fill(path, descriptor, offset, length, at=offset),
                size,
                chunk_bytes=CHUNK_BYTES,
                threads=THREADS if direct else CACHED_THREADS,
            )
        finally:
            os.close(descriptor)

    def _fill(self, path: Path, descriptor: int, offset: int, length: int, *, at: int) -> None:
        done = 0
        while done < length:
            got = os.preadv(descriptor, [self._view[at + done : at + length]], offset + done)
            if got <= 0:
                raise ReadError(path, "the file became shorter", offset_bytes=offset + done)
            done += got

    def _drain(self, path: Path, descriptor: int, offset: int, length: int) -> None:
        done = 0
        while done < length:
            sent = os.pwrite(descriptor, self._view[offset + done : offset + length], offset + done)
            if sent <= 0:
                raise WriteError(path, "nothing was written", offset_bytes=offset + done)
            done += sent

    def close(self) -> None:
        self._view.release()
        self._region.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if flags & os.O_DIRECT and error.errno == errno.EINVAL:
            raise UnsupportedError(
                f"{path.parent}: this file system refuses O_DIRECT, so its disk cannot be "
                "measured; name another folder with --dir"
            ) from None
        raise


def _in_threads(transfer: Transfer, size: int, *, chunk_bytes: int, threads: int) -> float:
    """Seconds for all chunks, from one queue; the first error of a thread is raised."""
    offsets = iter(range(0, size, chunk_bytes))
    lock = threading.Lock()
    start = threading.Barrier(threads + 1)
    errors: list[BaseException] = []

    def work() -> None:
        start.wait()
        while not errors:
            with lock:
                offset = next(offsets, None)
            if offset is None:
                return
            try:
                transfer(offset, min(chunk_bytes, size - offset))
            except (OSError, ValueError) as error:
                errors.append(error)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    begin = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begin
    if errors:
        raise errors[0]
    return seconds
