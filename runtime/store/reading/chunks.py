"""What a disk queue works on: pieces of files, and where their bytes are to go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from runtime.store.errors import StoreError, TruncatedError
from runtime.store.reading.open_file import BLOCK_BYTES, OpenFile

MOST_PIECES: Final = 1024  # IOV_MAX of Linux: a read of more is refused


@dataclass(frozen=True, slots=True)
class Chunk:
    """`size_bytes` of a file from an offset, a multiple of BLOCK_BYTES, and memory for them.

    The buffers together hold at least `size_bytes` rounded up to whole blocks, each begins at a
    block and all but the last are whole blocks: what a direct read wants.
    """

    number: int
    offset_bytes: int
    size_bytes: int
    buffers: Sequence[memoryview]


class Work(Protocol):
    """Something to read, offered to a disk queue. Its methods are called by the queue alone."""

    @property
    def file(self) -> OpenFile: ...

    @property
    def priority(self) -> int:
        """Higher goes first; equals take turns."""
        ...

    @property
    def at_once(self) -> int:
        """How many of its chunks may be read at the same time."""
        ...

    @property
    def finished(self) -> bool:
        """Whether `take` will never give another chunk."""
        ...

    def take(self) -> Chunk | None:
        """The next chunk that has a place to go; None where there is none at present.

        Called under the queue's lock: it must be quick, raise nothing, and take no lock that is
        held while calling the queue.
        """
        ...

    def landed(self, chunk: Chunk) -> None:
        """The chunk's bytes are there; in a reading thread. What it raises fails the work."""
        ...

    def failed(self, error: StoreError) -> None:
        """No more of it is taken. Threads at other chunks may say so, too: the first counts."""
        ...


def read_chunk(file: OpenFile, chunk: Chunk) -> None:
    """Read all of a chunk, however short the reads. Raises ReadError, TruncatedError."""
    done = 0
    while done < chunk.size_bytes:
        end = chunk.size_bytes
        if file.direct:
            end = -(-end // BLOCK_BYTES) * BLOCK_BYTES
        count = file.read(_rest(chunk.buffers, done, end), chunk.offset_bytes + done)
        if not count:
            raise TruncatedError(
                file.path, "the file ends before it should", offset_bytes=chunk.offset_bytes + done
            )
        done = _go_on(file, done, count, chunk.size_bytes)


def _go_on(file: OpenFile, done: int, count: int, size: int) -> int:
    """From where to read on after a read of `count` bytes: a direct one begins at a block."""
    reached = done + count
    if reached >= size or not file.direct:
        return reached
    aligned = reached - reached % BLOCK_BYTES
    if aligned == done:
        file.give_up_direct()  # less than a block at a time: direct reads will not get on
    return aligned


def _rest(buffers: Sequence[memoryview], start: int, end: int) -> list[memoryview]:
    """The memory of the bytes from `start` to `end` of a chunk."""
    if not start and len(buffers) == 1:
        return [buffers[0][:end]]
    rest, offset = [], 0
    for buffer in buffers:
        first, last = max(start - offset, 0), min(end - offset, len(buffer))
        if first < last:
            rest.append(buffer[first:last])
        offset += len(buffer)
    return rest[:MOST_PIECES]
