"""One file on its way into memory: its chunks in order, and when the last of them has landed."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.store.errors import ChangedError, CorruptError, StoreError, TruncatedError
from runtime.store.files import DISK, Files
from runtime.store.format.hashing import digest, hasher
from runtime.store.format.index import CHUNK_BYTES, Index
from runtime.store.reading.chunks import Chunk
from runtime.store.reading.disk_queue import DiskQueue
from runtime.store.reading.open_file import BLOCK_BYTES, OpenFile

Place = Callable[[int, int], Sequence[memoryview] | None]
"""Memory for the bytes from an offset on, rounded up to whole blocks; None: none at present."""


class FileReading:
    """Work for a disk queue: a whole file of a known size, chunk by chunk.

    `place` says where the bytes go, `check` looks at each chunk that landed (raising a StoreError
    for one that is wrong) and `on_chunk` hands it on; both run in reading threads. `on_end` is
    called once, in some thread, when the last chunk is through or the first error came.
    """

    def __init__(
        self,
        file: OpenFile,
        place: Place,
        *,
        size_bytes: int,
        chunk_bytes: int = CHUNK_BYTES,
        priority: int = 0,
        check: Callable[[Chunk], None] | None = None,
        on_chunk: Callable[[Chunk], None] | None = None,
        on_end: Callable[[StoreError | None], None] | None = None,
    ) -> None:
        """Raises TruncatedError or CorruptError for a file of another size."""
        _refuse_size(file, size_bytes)
        self.file = file
        self.priority = priority
        self.at_once = file.at_once
        self.landed_bytes = 0
        self._size = size_bytes
        self._chunk = chunk_bytes
        self._place = place
        self._check = check
        self._on_chunk = on_chunk
        self._on_end = on_end
        self._taken = 0
        self._error: StoreError | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def begin(self, queue: DiskQueue) -> None:
        """Give it to a queue; an empty file ends at once."""
        if self._size:
            queue.submit(self)
        else:
            self._end(None)

    @property
    def finished(self) -> bool:
        return self._taken >= self._size or self._error is not None

    def take(self) -> Chunk | None:
        if self.finished:
            return None
        offset = self._taken
        size = min(self._chunk, self._size - offset)
        try:
            buffers = self._place(offset, size)
        except Exception as error:  # raised under the queue's lock, it would end a thread
            self._end(_as_store_error(self.file.path, error))
            return None
        if buffers is None:
            return None
        self._taken += size
        return Chunk(offset // self._chunk, offset, size, buffers)

    def landed(self, chunk: Chunk) -> None:
        if self._check:
            self._checked(self._check, chunk)
        if self._on_chunk:
            self._on_chunk(chunk)
        with self._lock:
            self.landed_bytes += chunk.size_bytes
            last = self.landed_bytes == self._size
        if last:
            self._refuse_changed()
            self._end(None)

    def _checked(self, check: Callable[[Chunk], None], chunk: Chunk) -> None:
        try:
            check(chunk)
        except CorruptError:
            self._refuse_changed()  # then that is the news
            raise

    def _refuse_changed(self) -> None:
        if self.file.changed:
            raise ChangedError(self.file.path, "was written to while it was being read")

    def failed(self, error: StoreError) -> None:
        self._end(error)

    def stop(self, queue: DiskQueue, error: StoreError) -> None:
        """End it early: when this returns nobody touches its memory, and `on_end` was called."""
        queue.withdraw(self)
        self._end(error)

    def wait(self) -> None:
        """Until it ended. Raises what ended it early."""
        self._ended.wait()
        if self._error is not None:
            raise self._error

    def _end(self, error: StoreError | None) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._error = error
            self._ended.set()
        if self._on_end:
            self._on_end(error)


def _as_store_error(path: Path, error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error.with_traceback(None)
    return StoreError(f"{path}: {type(error).__name__}: {error}")


def _refuse_size(file: OpenFile, size_bytes: int) -> None:
    found = file.state.size_bytes
    if found < size_bytes:
        raise TruncatedError(file.path, f"ends here, {size_bytes} expected", offset_bytes=found)
    if found > size_bytes:
        raise CorruptError(file.path, f"{found} bytes, {size_bytes} expected")


def checksums_of(index: Index, partition: int, path: Path) -> Callable[[Chunk], None]:
    """A check of each chunk of a data file against its index: raises CorruptError."""
    checksums = index.partitions[partition].checksums

    def check(chunk: Chunk) -> None:
        if _digest(index.hash, chunk) != checksums[chunk.number]:
            raise CorruptError(
                path, "its checksum is not the index's", offset_bytes=chunk.offset_bytes
            )

    return check


def _digest(hash_name: str, chunk: Chunk) -> str:
    if len(chunk.buffers) == 1:
        return digest(hash_name, chunk.buffers[0][: chunk.size_bytes])
    found, left = hasher(hash_name), chunk.size_bytes
    for buffer in chunk.buffers:
        found.update(buffer[: min(left, len(buffer))])
        left -= min(left, len(buffer))
    return found.hexdigest()


def read_file(path: Path, memory: memoryview, queue: DiskQueue, files: Files = DISK) -> int:
    """Fill memory (on a page border, with room for whole blocks) with a file; gives its size.

    Raises StoreError where it does not fit, FileError where it cannot be read.
    """
    file = OpenFile(path, files)
    try:
        size = file.state.size_bytes
        room = -(-size // BLOCK_BYTES) * BLOCK_BYTES
        if room > len(memory):
            raise StoreError(f"{path}: needs {room} bytes of memory, there are {len(memory)}")
        reading = FileReading(
            file,
            lambda offset, count: [
                memory[offset : offset + -(-count // BLOCK_BYTES) * BLOCK_BYTES]
            ],
            size_bytes=size,
        )
        try:
            reading.begin(queue)
            reading.wait()
        finally:
            queue.withdraw(reading)  # after an error, other threads may still be at its memory
        return size
    finally:
        file.close()
