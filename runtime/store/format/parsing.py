"""Opens a checkpoint's folder: its index, checked against the files that lie there."""

import os
import stat
from pathlib import Path
from typing import Final

from runtime.store.errors import (
    CorruptError,
    FileError,
    ReadError,
    TruncatedError,
    UnsupportedError,
)
from runtime.store.files import DISK, Files
from runtime.store.format.encoding import BadIndexError, decode
from runtime.store.format.index import INDEX_FILE, Index

MOST_INDEX_BYTES: Final = 256 << 20  # a million tensors; more is not read into memory


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder has an index: not yet that the index is good."""
    return (folder / INDEX_FILE).is_file()


def read_index(folder: Path, files: Files = DISK) -> Index:
    """The index of a checkpoint whose data files are there and as long as it says.

    Raises ReadError where a file cannot be read, CorruptError or TruncatedError for one that is
    not what was written, UnsupportedError for another version. Data is not read: `verify` does.
    """
    index = parse(folder / INDEX_FILE, files)
    for partition in index.partitions:
        check_file(folder, partition.file, partition.size_bytes)
    for carried in index.carried:
        check_file(folder, carried.file, carried.size_bytes)
    return index


def parse(path: Path, files: Files = DISK) -> Index:
    """An index alone. Raises as `read_index`."""
    text = _read_text(path, _plain_file(path.parent, path.name).st_size, files)
    try:
        return decode(text)
    except BadIndexError as error:
        raise CorruptError(path, str(error)) from None
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from None


def _read_text(path: Path, size_bytes: int, files: Files) -> bytes:
    if size_bytes > MOST_INDEX_BYTES:
        raise CorruptError(path, f"{size_bytes} bytes; an index has at most {MOST_INDEX_BYTES}")
    text = bytearray(size_bytes)
    done = 0
    try:
        descriptor = files.open_read(path, direct=False)
        try:
            while done < size_bytes:
                count = files.preadv(descriptor, [memoryview(text)[done:]], done)
                if not count:
                    raise TruncatedError(path, "ends here", offset_bytes=done)
                done += count
        finally:
            files.close(descriptor)
    except OSError as error:
        raise ReadError(path, error.strerror or str(error), offset_bytes=done) from None
    return bytes(text)


def check_file(folder: Path, name: str, size_bytes: int) -> Path:
    """A file of the folder that is a plain file, inside it, of that size.

    Raises FileError for one that leads elsewhere, TruncatedError or CorruptError for its size.
    """
    path = folder / name
    size = _plain_file(folder, name).st_size
    if size < size_bytes:
        raise TruncatedError(
            path, f"ends here; the index says {size_bytes} bytes", offset_bytes=size
        )
    if size > size_bytes:
        raise CorruptError(path, f"{size} bytes; the index says {size_bytes}")
    return path


def _plain_file(folder: Path, name: str) -> os.stat_result:
    """Raises FileError for what leads elsewhere or is no plain file, ReadError for what is not."""
    path = folder / name
    try:
        found = os.lstat(path)
        # Where neither the file nor a folder above it is a link, nothing can lead elsewhere.
        if stat.S_ISLNK(found.st_mode) or "/" in name:
            if not path.resolve(strict=True).is_relative_to(folder.resolve()):
                raise FileError(path, "leads out of the checkpoint's folder")
            found = os.stat(path)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise ReadError(path, getattr(error, "strerror", None) or str(error)) from None
    if not stat.S_ISREG(found.st_mode):
        raise FileError(path, "not a plain file")
    return found
