"""A disk that fails as told: the real one, with faults laid over it that are plain data.

It wraps `DISK`, so what is not said to fail really happens. It counts open descriptors, so that a
test can tell that none leaked.
"""

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.store.files import DISK, FileState

GARBAGE = 0xA5


class Crash(BaseException):
    """The process ends here. Nothing on the disk changes through these files afterwards."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. Calls of one kind are numbered from 0; offsets and sizes are bytes."""

    short_reads_bytes: tuple[int, ...] = ()  # the most that the n-th read gives
    short_writes_bytes: tuple[int, ...] = ()
    interrupted_reads: frozenset[int] = frozenset()
    interrupted_writes: frozenset[int] = frozenset()
    read_error_at: int | None = None  # a read that covers this offset fails
    read_error: int = errno.EIO
    refuses_direct: bool = False
    ends_at: int | None = None  # reads find the end here, though the size says more
    flip_at: int | None = None  # the lowest bit of this byte is read wrong
    no_space_at_write: int | None = None
    no_space_after_bytes: int | None = None
    sync_fails: bool = False
    rename_fails: bool = False
    crash_after_calls: int | None = None


class FaultyFiles:
    """The Files protocol over the real disk, with faults. Safe for threads."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.open_descriptors: set[int] = set()
        self.calls = 0
        self.written_bytes = 0
        self._reads = 0
        self._writes = 0
        self._lock = threading.Lock()

    def open_read(self, path: Path, *, direct: bool) -> int:
        self._call()
        self._refuse_direct(path, direct)
        return self._opened(DISK.open_read(path, direct=direct))

    def create(self, path: Path, *, direct: bool) -> int:
        self._call()
        self._refuse_direct(path, direct)
        return self._opened(DISK.create(path, direct=direct))

    def state(self, descriptor: int) -> FileState:
        self._call()
        return DISK.state(descriptor)

    def preadv(
        self, descriptor: int, buffers: Sequence[memoryview], offset_bytes: int, flags: int = 0
    ) -> int:
        self._call()
        with self._lock:
            number, self._reads = self._reads, self._reads + 1
        if number in self.faults.interrupted_reads:
            raise _error(errno.EINTR)
        wanted = sum(len(buffer) for buffer in buffers)
        bad = self.faults.read_error_at
        if bad is not None and offset_bytes <= bad < offset_bytes + wanted:
            raise _error(self.faults.read_error)
        count = DISK.preadv(descriptor, buffers, offset_bytes, flags)
        given = min(count, self._most(number, offset_bytes, count))
        _spoil(buffers, given, count)
        self._flip(buffers, offset_bytes, given)
        return given

    def _most(self, number: int, offset_bytes: int, count: int) -> int:
        most = count
        if number < len(self.faults.short_reads_bytes):
            most = max(1, self.faults.short_reads_bytes[number])
        if self.faults.ends_at is not None:
            most = min(most, max(0, self.faults.ends_at - offset_bytes))
        return most

    def _flip(self, buffers: Sequence[memoryview], offset_bytes: int, given: int) -> None:
        if self.faults.flip_at is None:
            return
        at = self.faults.flip_at - offset_bytes
        if not 0 <= at < given:
            return
        for buffer in buffers:
            if at < len(buffer):
                buffer[at] ^= 1
                return
            at -= len(buffer)

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset_bytes: int) -> int:
        self._call()
        with self._lock:
            number, self._writes = self._writes, self._writes + 1
            self._refuse_space(number, len(data))
        if number in self.faults.interrupted_writes:
            raise _error(errno.EINTR)
        if number < len(self.faults.short_writes_bytes):
            count = min(len(data), max(1, self.faults.short_writes_bytes[number]))
            data = data[:count]
            if count % 512:  # the real disk refuses such a direct write, a short one it may report
                data = bytes(data)
                return self._counted(_write_buffered(descriptor, data, offset_bytes))
        return self._counted(DISK.pwrite(descriptor, data, offset_bytes))

    def _refuse_space(self, number: int, size: int) -> None:
        after = self.faults.no_space_after_bytes
        if number == self.faults.no_space_at_write:
            raise _error(errno.ENOSPC)
        if after is not None and self.written_bytes + size > after:
            raise _error(errno.ENOSPC)

    def _counted(self, count: int) -> int:
        with self._lock:
            self.written_bytes += count
        return count

    def sync(self, descriptor: int) -> None:
        self._call()
        if self.faults.sync_fails:
            raise _error(errno.EIO)
        DISK.sync(descriptor)

    def close(self, descriptor: int) -> None:
        with self._lock:
            self.open_descriptors.remove(descriptor)  # KeyError: closed twice
        DISK.close(descriptor)  # even after a crash: the system closes what a dead process had

    def rename(self, source: Path, target: Path) -> None:
        self._call()
        self._refuse_rename(target)
        DISK.rename(source, target)

    def exchange(self, one: Path, other: Path) -> None:
        self._call()
        self._refuse_rename(other)
        DISK.exchange(one, other)

    def sync_folder(self, path: Path) -> None:
        self._call()
        if self.faults.sync_fails:
            raise _error(errno.EIO)
        DISK.sync_folder(path)

    def free_bytes(self, path: Path) -> int:
        self._call()
        return DISK.free_bytes(path)

    def _call(self) -> None:
        with self._lock:
            self.calls += 1
            last = self.faults.crash_after_calls
            if last is not None and self.calls > last:
                raise Crash(f"after {last} calls")

    def _opened(self, descriptor: int) -> int:
        with self._lock:
            self.open_descriptors.add(descriptor)
        return descriptor

    def _refuse_direct(self, path: Path, direct: bool) -> None:
        if direct and self.faults.refuses_direct:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))

    def _refuse_rename(self, target: Path) -> None:
        if self.faults.rename_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _write_buffered(descriptor: int, data: bytes, offset_bytes: int) -> int:
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        return os.pwrite(again, data, offset_bytes)
    finally:
        os.close(again)


def _spoil(buffers: Sequence[memoryview], start: int, end: int) -> None:
    """What a short read did not give must not be right by chance."""
    offset = 0
    for buffer in buffers:
        first, last = max(start - offset, 0), min(end - offset, len(buffer))
        if first < last:
            buffer[first:last] = bytes([GARBAGE]) * (last - first)
        offset += len(buffer)
