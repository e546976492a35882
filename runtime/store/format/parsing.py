"""Opens a checkpoint's folder: its index, checked against the files that lie there."""

import os
import stat
from pathlib import Path
from typing import Final

from runtime.store.errors import CorruptError, FileError, TruncatedError, UnsupportedError
from runtime.store.format.encoding import BadIndexError, decode
from runtime.store.format.index import INDEX_FILE, Index

MOST_INDEX_BYTES: Final = 256 << 20  # a million tensors; more is not read into memory


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder has an index: not yet that the index is good."""
    return (folder / INDEX_FILE).is_file()


def read_index(folder: Path) -> Index:
    """The index of a checkpoint whose data files are there and as long as it says.

    Raises OSError where a file cannot be opened, CorruptError or TruncatedError for one that is
    not what was written, UnsupportedError for another version. Data is not read: `verify` does.
    """
    index = parse(folder / INDEX_FILE)
    for partition in index.partitions:
        check_file(folder, partition.file, partition.size_bytes)
    for carried in index.carried:
        check_file(folder, carried.file, carried.size_bytes)
    return index


def parse(path: Path) -> Index:
    """An index alone. Raises as `read_index`."""
    with path.open("rb") as file:
        text = file.read(MOST_INDEX_BYTES + 1)
    if len(text) > MOST_INDEX_BYTES:
        raise CorruptError(path, f"an index of more than {MOST_INDEX_BYTES} bytes")
    try:
        return decode(text)
    except BadIndexError as error:
        raise CorruptError(path, str(error)) from None
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from None


def check_file(folder: Path, name: str, size_bytes: int) -> Path:
    """A file of the folder that is a plain file, inside it, of that size.

    Raises FileError for one that leads elsewhere, TruncatedError or CorruptError for its size.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FileError(path, "leads out of the checkpoint's folder")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise TruncatedError(path, f"missing; the index says {size_bytes} bytes") from None
    if not stat.S_ISREG(found.st_mode):
        raise FileError(path, "not a plain file")
    if found.st_size < size_bytes:
        raise TruncatedError(
            path, f"ends here; the index says {size_bytes} bytes", offset_bytes=found.st_size
        )
    if found.st_size > size_bytes:
        raise CorruptError(path, f"{found.st_size} bytes; the index says {size_bytes}")
    return path
