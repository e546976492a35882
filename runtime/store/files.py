"""What the store asks of the operating system about files, in one place.

`Files` is the seam at which tests put a disk that fails; `DISK` is the real one. It knows nothing
of checkpoints. Errors are the operating system's own (OSError): callers say what they were about.
"""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

LIBC: Final = ctypes.CDLL(None, use_errno=True)
AT_FDCWD: Final = -100  # names count from the working folder
RENAME_EXCHANGE: Final = 2


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells one version of a file from another. Sizes in bytes, time in ns."""

    size_bytes: int
    modified_ns: int
    inode: int
    device: int


class Files(Protocol):
    """The calls that reading and writing checkpoints needs; descriptors are integers."""

    def open_read(self, path: Path, *, direct: bool) -> int:
        """A descriptor for reading; `direct` asks for O_DIRECT and may fail with EINVAL."""
        ...

    def create(self, path: Path, *, direct: bool) -> int:
        """A descriptor for a file that must not exist yet."""
        ...

    def state(self, descriptor: int) -> FileState: ...

    def preadv(
        self, descriptor: int, buffers: Sequence[memoryview], offset_bytes: int, flags: int = 0
    ) -> int:
        """Bytes read into the buffers in turn: 0 at the end of the file, or fewer than asked."""
        ...

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset_bytes: int) -> int:
        """Bytes written, which may be fewer than given."""
        ...

    def sync(self, descriptor: int) -> None: ...

    def close(self, descriptor: int) -> None: ...

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder its name; fails if the target is a folder with something in it."""
        ...

    def exchange(self, one: Path, other: Path) -> None:
        """Swap the names of two folders at once: there is no moment at which one is missing."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        ...

    def free_bytes(self, path: Path) -> int:
        """What an ordinary user may still write on the disk that holds `path`."""
        ...


class Disk:
    """The operating system's files."""

    def open_read(self, path: Path, *, direct: bool) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECT if direct else 0))

    def create(self, path: Path, *, direct: bool) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags | (os.O_DIRECT if direct else 0), 0o644)

    def state(self, descriptor: int) -> FileState:
        found = os.fstat(descriptor)
        return FileState(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)

    def preadv(
        self, descriptor: int, buffers: Sequence[memoryview], offset_bytes: int, flags: int = 0
    ) -> int:
        return os.preadv(descriptor, buffers, offset_bytes, flags)

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset_bytes: int) -> int:
        return os.pwrite(descriptor, data, offset_bytes)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def exchange(self, one: Path, other: Path) -> None:
        names = (os.fsencode(one), os.fsencode(other))
        if LIBC.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(other))

    def sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path) -> int:
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize


DISK = Disk()
