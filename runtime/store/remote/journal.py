"""A file in the making and the journal of its chunks: what has come is known after any death.

The journal, `.NAME.journal` beside the file, has a line of JSON that says what is fetched, then a
line for every chunk that is in the file: its number and digest. A chunk counts only if the file's
bytes still have that digest, so a line that came to the disk before its bytes does no harm.
"""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from runtime.store.format.data_file import named
from runtime.store.format.hashing import DEFAULT_HASH, digest
from runtime.store.remote.errors import RemoteChangedError, shown
from runtime.store.remote.sources import RemoteFile

MOST_JOURNAL_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Checks:
    """What is known of a file beforehand: the digest of each chunk of `chunk_bytes`."""

    hash: str
    chunk_bytes: int
    checksums: Sequence[str]


@dataclass(frozen=True, slots=True)
class Begun:
    """The first line of a journal: sizes in bytes, the version as the server calls it."""

    url: str
    size_bytes: int | None
    version: str
    chunk_bytes: int
    hash: str


def begun(file: RemoteFile, chunk_bytes: int, checks: Checks | None) -> Begun:
    """What a fetch of this file, as it is at the address, would write down."""
    hash_name = checks.hash if checks else DEFAULT_HASH
    chunk = checks.chunk_bytes if checks else chunk_bytes
    return Begun(shown(file.url), file.state.size_bytes, file.state.version, chunk, hash_name)


class Partial:
    """The file and its journal, open for writing. Chunks may be put by several threads."""

    def __init__(self, path: Path, what: Begun, checks: Checks | None) -> None:
        """Open what an earlier fetch left, or begin.

        Raises RemoteChangedError, and takes away what is there, where that was of another version
        of the file; WriteError or NoSpaceError where the disk refuses.
        """
        self.path = path
        self.what = what
        self._checks = checks
        self._lock = threading.Lock()
        self._known = self._earlier()
        with named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(path, flags | (0 if self._known else os.O_TRUNC), 0o644)
            if what.size_bytes is not None:
                os.ftruncate(self._file, what.size_bytes)
        with named(self.journal):
            self._lines = self.journal.open("w")
            self._lines.write(json.dumps(asdict(what)) + "\n")

    @property
    def journal(self) -> Path:
        return journal_of(self.path)

    def size_of(self, number: int) -> int:
        """Bytes of one chunk."""
        assert self.what.size_bytes is not None
        return min(self.what.chunk_bytes, self.what.size_bytes - number * self.what.chunk_bytes)

    def kept(self) -> Iterator[tuple[int, memoryview]]:
        """The chunks of an earlier fetch that are in the file, each read and checked."""
        for number, wanted in sorted(self._known.items()):
            with named(self.path):
                data = os.pread(self._file, self.size_of(number), number * self.what.chunk_bytes)
            if digest(self.what.hash, data) == wanted and self.is_right(number, data):
                self._write_down(number, wanted)
                yield number, memoryview(data)

    def is_right(self, number: int, data: bytes | memoryview) -> bool:
        """Whether a chunk is the one that is known beforehand; True where nothing is."""
        if self._checks is None:
            return True
        return digest(self._checks.hash, data) == self._checks.checksums[number]

    def put(self, number: int, data: bytes | memoryview) -> None:
        """A chunk to its place, and into the journal. Raises WriteError or NoSpaceError."""
        self.write(number * self.what.chunk_bytes, data)
        self._write_down(number, digest(self.what.hash, data))

    def write(self, offset_bytes: int, data: bytes | memoryview) -> None:
        """Bytes to their place, without a line of the journal."""
        view = memoryview(data)
        with named(self.path):
            while view.nbytes:
                count = os.pwrite(self._file, view, offset_bytes)
                view, offset_bytes = view[count:], offset_bytes + count

    def _write_down(self, number: int, found: str) -> None:
        with self._lock, named(self.journal):
            self._lines.write(f"{number} {found}\n")
            self._lines.flush()

    def sync(self) -> None:
        with named(self.path):
            os.fsync(self._file)

    def _earlier(self) -> dict[int, str]:
        """Chunks by number that an earlier fetch of the same version wrote down."""
        if not self.path.is_file():
            return {}
        head, chunks = read_journal(self.journal)
        if head is None or head.url != self.what.url or head.chunk_bytes != self.what.chunk_bytes:
            return {}
        same = (head.size_bytes, head.version) == (self.what.size_bytes, self.what.version)
        if not same and chunks:
            drop(self.path)
            raise RemoteChangedError(self.what.url, _changes(head, self.what))
        if head.hash != self.what.hash or (not head.version and self._checks is None):
            return {}  # nothing says that what comes would fit what is here
        count = -(-(self.what.size_bytes or 0) // self.what.chunk_bytes)
        return {number: found for number, found in chunks.items() if number < count}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)
        self._lines.close()


def journal_of(path: Path) -> Path:
    """Beside the file."""
    return path.with_name(f".{path.name}.journal")


def drop(path: Path) -> None:
    """Take away a file in the making and its journal."""
    path.unlink(missing_ok=True)
    journal_of(path).unlink(missing_ok=True)


def read_journal(path: Path) -> tuple[Begun | None, dict[int, str]]:
    """What was begun and the chunks by number; (None, {}) where that cannot be told."""
    try:
        if path.stat().st_size > MOST_JOURNAL_BYTES:
            return None, {}
        *lines, _ = path.read_text().split("\n")  # a line without its end was cut short
        head = Begun(**json.loads(lines[0]))
        words = (line.split(" ") for line in lines[1:])
        return head, {int(number): found for number, found in words}
    except (OSError, ValueError, TypeError, IndexError):
        return None, {}


def _changes(before: Begun, after: Begun) -> str:
    sizes = f"{before.size_bytes} -> {after.size_bytes} bytes"
    versions = f"version {before.version or 'unknown'} -> {after.version or 'unknown'}"
    return (
        f"changed since its fetch began ({sizes}, {versions}); what had come is removed: "
        "fetch it again"
    )
