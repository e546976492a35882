"""A file open for reading, in the way that suits it: direct, or through the page cache.

O_DIRECT where the file is not cached and its disk allows it; else buffered, without leaving it in
the page cache where the kernel knows how. It remembers the file's state, to tell a change.
"""

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.store.errors import ReadError
from runtime.store.files import Files, FileState
from runtime.store.reading.page_cache import cached_share

BLOCK_BYTES: Final = 4096  # aligned so, a direct read suits disks with blocks of 512 and of 4096
MOSTLY: Final = 0.5
MOST_AT_ONCE: Final = 64
RWF_DONTCACHE: Final = 0x80  # uncached buffered reads: Linux 6.14 and later


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """How a file is read: which descriptor, and with which flags."""

    descriptor: int
    direct: bool
    flags: int


class OpenFile:
    """A file, and the best way of reading it that was not refused yet. Safe for threads."""

    def __init__(self, path: Path, files: Files) -> None:
        """Open it. Raises ReadError."""
        self.path = path
        self._files = files
        self._lock = threading.Lock()
        self._descriptors: list[int] = []
        try:
            self._way = self._first_way()
            self.state = self._state()
            self.cached = self._is_cached()
            if self.cached:
                self._way = self._cached_way()
        except BaseException:
            self.close()
            raise

    @property
    def direct(self) -> bool:
        """Whether reads go past the page cache, and must keep to blocks."""
        return self._way.direct

    @property
    def at_once(self) -> int:
        """How many threads may read it together: copies in memory want no more than the cores."""
        return max(2, os.cpu_count() or 2) if self.cached else MOST_AT_ONCE

    def read(self, buffers: Sequence[memoryview], offset_bytes: int) -> int:
        """Bytes read from a multiple of BLOCK_BYTES (or from anywhere, once not direct).

        0 at the end of the file. Raises ReadError.
        """
        while True:
            way = self._way
            try:
                return self._files.preadv(way.descriptor, buffers, offset_bytes, way.flags)
            except InterruptedError:
                continue
            except OSError as error:
                refused = error.errno in (errno.EINVAL, errno.EOPNOTSUPP)
                if not (refused and self._give_way(way)):
                    raise self._error(error, offset_bytes) from None

    def _give_way(self, refused: _Way) -> bool:
        """Whether another way is left; perhaps another thread has found it already."""
        with self._lock:
            if self._way is refused:
                if not refused.direct and not refused.flags:
                    return False
                self._way = self._after(refused)
            return True

    def _after(self, way: _Way) -> _Way:
        if way.direct:
            return _Way(self._open(direct=False), direct=False, flags=RWF_DONTCACHE)
        return _Way(way.descriptor, direct=False, flags=0)

    def give_up_direct(self) -> None:
        """Read through the page cache from here on. Raises ReadError."""
        with self._lock:
            if self._way.direct:
                self._way = self._after(self._way)

    @property
    def changed(self) -> bool:
        """Whether the file was written to, or another took its name, since it was opened.

        Raises ReadError.
        """
        return self._state() != self.state or self._replaced()

    def close(self) -> None:
        """Close what is open; a second time does nothing. Nobody may be reading."""
        with self._lock:
            descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            self._files.close(descriptor)

    def _first_way(self) -> _Way:
        try:
            descriptor = self._files.open_read(self.path, direct=True)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise self._error(error) from None
            return _Way(self._open(direct=False), direct=False, flags=RWF_DONTCACHE)
        self._descriptors.append(descriptor)
        return _Way(descriptor, direct=True, flags=0)

    def _cached_way(self) -> _Way:
        descriptor = self._open(direct=False) if self._way.direct else self._way.descriptor
        return _Way(descriptor, direct=False, flags=0)

    def _open(self, *, direct: bool) -> int:
        try:
            descriptor = self._files.open_read(self.path, direct=direct)
        except OSError as error:
            raise self._error(error) from None
        self._descriptors.append(descriptor)
        return descriptor

    def _state(self) -> FileState:
        try:
            return self._files.state(self._descriptors[0])
        except OSError as error:
            raise self._error(error) from None

    def _replaced(self) -> bool:
        """Whether the name leads to another file. One that lost its name is still all there."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        return (found.st_ino, found.st_dev) != (self.state.inode, self.state.device)

    def _is_cached(self) -> bool:
        """Whether most of it is in memory already: then a copy beats the disk by far."""
        share = cached_share(self._descriptors[0])
        return share is not None and share > MOSTLY

    def _error(self, error: OSError, offset_bytes: int | None = None) -> ReadError:
        return ReadError(self.path, error.strerror or str(error), offset_bytes=offset_bytes)
