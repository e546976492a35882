"""Reads a range of a file into memory: all of it, or one line that says why not.

Buffered reads: a mapping of a file that shrinks meanwhile would kill the process.
It knows no format.
"""

from pathlib import Path

import numpy as np

from runtime.store.errors import ChangedError, ReadError, TruncatedError
from runtime.store.files import DISK, Files, FileState


def state_of(path: Path, files: Files = DISK) -> FileState:
    """The file's version. Raises ReadError."""
    descriptor = _open(path, files)
    try:
        return files.state(descriptor)
    finally:
        files.close(descriptor)


def read_range(
    path: Path,
    offset_bytes: int,
    size_bytes: int,
    *,
    state: FileState | None = None,
    files: Files = DISK,
) -> memoryview:
    """Exactly these bytes. `state` is the version that the range was taken from.

    Raises ReadError, TruncatedError, or ChangedError where the file is another than `state`.
    """
    data = np.empty(size_bytes, np.uint8).data
    read_into(data, path, offset_bytes, state=state, files=files)
    return data


def read_into(
    data: memoryview,
    path: Path,
    offset_bytes: int,
    *,
    state: FileState | None = None,
    files: Files = DISK,
) -> None:
    """As `read_range`, into memory that is there, all of it."""
    descriptor = _open(path, files)
    try:
        _fill(path, descriptor, data, offset_bytes, files)
        if state is not None and files.state(descriptor) != state:
            raise ChangedError(path, "was written to while it was being read")
    finally:
        files.close(descriptor)


def _open(path: Path, files: Files) -> int:
    try:
        return files.open_read(path, direct=False)
    except OSError as error:
        raise ReadError(path, error.strerror or str(error)) from None


def _fill(path: Path, descriptor: int, data: memoryview, offset_bytes: int, files: Files) -> None:
    done = 0
    while done < len(data):
        at = offset_bytes + done
        try:
            count = files.preadv(descriptor, [data[done:]], at)
        except OSError as error:
            raise ReadError(path, error.strerror or str(error), offset_bytes=at) from None
        if not count:
            missing = len(data) - done
            raise TruncatedError(path, f"the file ends {missing} bytes early", offset_bytes=at)
        done += count
