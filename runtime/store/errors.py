"""What can go wrong with a checkpoint: every refusal is one line that names the file and the place.

All are ValueErrors, so that the command line says them in one line. None is raised for a bug.
"""

from pathlib import Path


class StoreError(ValueError):
    """Something about a checkpoint, the pool or the disk: the message is complete in itself."""


class FileError(StoreError):
    """A fact about one place of one file.

    `path` names the file and `offset_bytes` the place in it; None where the whole file is meant.
    """

    def __init__(self, path: Path, what: str, *, offset_bytes: int | None = None) -> None:
        self.path = path
        self.offset_bytes = offset_bytes
        place = "" if offset_bytes is None else f" at byte {offset_bytes}"
        super().__init__(f"{path}{place}: {what}")


class CorruptError(FileError):
    """The bytes are there and are not what was written: a checksum, a header, a range."""


class TruncatedError(FileError):
    """The file ends before its index says that it does."""


class ChangedError(FileError):
    """The file was replaced or written to while it was being read."""


class ReadError(FileError):
    """The operating system could not read: EIO and its kin."""


class WriteError(FileError):
    """The operating system could not write or sync; what was written so far is taken away."""


class NoSpaceError(StoreError):
    """The disk has too few free bytes; nothing is left behind."""


class UnsupportedError(StoreError):
    """A format, version or data type that this store does not know."""


class PoolFullError(StoreError):
    """The host pool has too few free pages; eviction is for whoever commands it."""


class PoolRefusedError(StoreError):
    """An order that the pool's books forbid: evicting what is pinned, naming what is not there."""


class CancelledError(StoreError):
    """The load was told to stop, and left nothing behind."""
