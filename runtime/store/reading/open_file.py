"""A file open for reading, in the way that suits it: direct, or through the page cache.

O_DIRECT where the file is not cached and its disk allows it; else buffered, without leaving it in
the page cache where the kernel knows how. It remembers the file's state, to tell a change.
"""

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.store.errors import ReadError
from runtime.store.files import Files, FileState
from runtime.store.reading.page_cache import cached_share

BLOCK_BYTES: Final = 4096  # aligned so, a direct read suits disks with blocks of 512 and of 4096
MOSTLY: Final = 0.5
MOST_AT_ONCE: Final = 64
RWF_DONTCACHE: Final = 0x80  # uncached buffered reads: Linux 6.14 and later


class OpenFile:
    """One descriptor, or two once direct reads had to be given up. Safe for threads."""

    def __init__(self, path: Path, files: Files) -> None:
        """Open it. Raises ReadError."""
        self.path = path
        self._files = files
        self._lock = threading.Lock()
        self._buffered: int | None = None
        self._given_up: int | None = None  # a direct one that threads may still be reading through
        self._flags = RWF_DONTCACHE
        self._direct = self._open_direct()
        if self._direct is None:
            self._buffered = self._open(direct=False)
        self.state = self._state()
        self.cached = self._is_cached()

    @property
    def direct(self) -> bool:
        """Whether reads go past the page cache, and must keep to blocks."""
        return self._direct is not None and not self.cached

    def read(self, buffers: Sequence[memoryview], offset_bytes: int) -> int:
        """Bytes read from a multiple of BLOCK_BYTES (or from anywhere, once not direct).

        0 at the end of the file. Raises ReadError.
        """
        while True:
            try:
                return self._read(buffers, offset_bytes)
            except InterruptedError:
                continue
            except OSError as error:
                if not self._gives_way(error):
                    said = error.strerror or str(error)
                    raise ReadError(self.path, said, offset_bytes=offset_bytes) from None

    def _read(self, buffers: Sequence[memoryview], offset_bytes: int) -> int:
        direct = self._direct
        if direct is not None and not self.cached:
            return self._files.preadv(direct, buffers, offset_bytes)
        assert self._buffered is not None
        flags = 0 if self.cached else self._flags
        return self._files.preadv(self._buffered, buffers, offset_bytes, flags)

    def _gives_way(self, error: OSError) -> bool:
        """Whether another way of reading is left after this refusal."""
        if error.errno == errno.EINVAL and not self.cached and self._buffered is None:
            self.give_up_direct()
            return True
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL) and self._flags and not self.cached:
            self._flags = 0
            return True
        return False

    def give_up_direct(self) -> None:
        """Read through the page cache from here on. Raises ReadError."""
        with self._lock:
            if self._buffered is None:
                self._buffered = self._open(direct=False)
            if self._direct is not None:
                self._given_up, self._direct = self._direct, None

    @property
    def at_once(self) -> int:
        """How many threads may read it together: copies in memory want no more than the cores."""
        return max(2, os.cpu_count() or 2) if self.cached else MOST_AT_ONCE

    @property
    def changed(self) -> bool:
        """Whether the file was written to since it was opened. Raises ReadError."""
        return self._state() != self.state

    def close(self) -> None:
        """Close what is open; a second time does nothing. Nobody may be reading."""
        with self._lock:
            open_ones = {self._direct, self._buffered, self._given_up} - {None}
            self._direct = self._buffered = self._given_up = None
        for descriptor in open_ones:
            assert descriptor is not None
            self._files.close(descriptor)

    def _open_direct(self) -> int | None:
        try:
            return self._files.open_read(self.path, direct=True)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise ReadError(self.path, error.strerror or str(error)) from None

    def _open(self, *, direct: bool) -> int:
        try:
            return self._files.open_read(self.path, direct=direct)
        except OSError as error:
            raise ReadError(self.path, error.strerror or str(error)) from None

    def _state(self) -> FileState:
        descriptor = self._direct if self._direct is not None else self._buffered
        assert descriptor is not None
        try:
            return self._files.state(descriptor)
        except OSError as error:
            raise ReadError(self.path, error.strerror or str(error)) from None

    def _is_cached(self) -> bool:
        """Whether most of it is in memory already: then a copy beats the disk by far."""
        descriptor = self._direct if self._direct is not None else self._buffered
        assert descriptor is not None
        share = cached_share(descriptor)
        if share is None or share <= MOSTLY:
            return False
        if self._buffered is None:
            self._buffered = self._open(direct=False)
        return True
