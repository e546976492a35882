"""Journals on disk: lines in and out of .jsonl files, plain or packed as .gz or .zst.

It knows files. What a line says is `fleet.journal`'s.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from fleet.journal import JournalError

Write = Callable[[bytes], object]

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")
ZSTD_LEVEL = 3


def check_name(path: Path) -> None:
    """Raises JournalError for a name that does not say how to write the file."""
    if not path.name.endswith(ENDINGS):
        raise JournalError(f"journal is {str(path)!r}; its name must end in {', '.join(ENDINGS)}")


@contextmanager
def writing(path: Path) -> Iterator[Write]:
    """Write lines; the file is whole when the context ends, however it ends.

    The same lines make the same bytes: no name and no time of writing goes into the file.
    """
    check_name(path)
    with ExitStack() as stack:
        file: BinaryIO = stack.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            yield stack.enter_context(packed).write
        elif path.suffix == ".zst":
            compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
            yield stack.enter_context(compressor.stream_writer(file)).write
        else:
            yield file.write


@contextmanager
def reading(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a journal, packed or not, whatever its name. Raises JournalError."""
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        magic = file.peek(4)[:4]
        lines: Iterator[bytes] = file
        if magic.startswith(GZIP_MAGIC):
            lines = stack.enter_context(gzip.GzipFile(fileobj=file))
        elif magic == ZSTD_MAGIC:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            lines = stack.enter_context(io.BufferedReader(cast(io.RawIOBase, reader)))
        yield _whole(lines, path)


def _whole(lines: Iterator[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from lines
    except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
        raise JournalError(f"{path} is cut off or damaged: {error}") from None
