"""Bytes on their way: files into pages of the pool, and from there on to a device, chunk by chunk.

An intake reads the files of one layout, for one load or for several that want the same. A delivery
copies what landed to one load's block. Neither makes tensors, and neither chooses what stays.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import torch

from runtime.store.errors import PoolFullError, StoreError
from runtime.store.files import Files
from runtime.store.loading.copying import Copy, CopyQueue
from runtime.store.loading.plan import FilePart, Layout, pieces
from runtime.store.memory.pool import Holding, Pool
from runtime.store.reading.chunks import Chunk
from runtime.store.reading.disk_queue import DiskQueue
from runtime.store.reading.file_reading import FileReading, checksums_of
from runtime.store.reading.open_file import BLOCK_BYTES, OpenFile

RING_BYTES: Final = 128 << 20  # eight chunks: enough for the disk's threads and the copies


@dataclass(frozen=True, slots=True)
class Landed:
    """Bytes of a layout that are in host memory, and have been checked.

    `release` is called once nobody reads them any more.
    """

    offset_bytes: int
    size_bytes: int
    buffers: Callable[[int, int], list[memoryview]]
    release: Callable[[], None]


class Shelf(Protocol):
    """The pages that an intake fills."""

    @property
    def holding(self) -> Holding: ...

    def place(self, offset_bytes: int, size_bytes: int) -> Sequence[memoryview] | None:
        """Memory for a chunk of the layout, in whole blocks; None: none at present."""
        ...

    def landed(self, offset_bytes: int, size_bytes: int) -> Landed: ...


def _nothing() -> None:
    """Pages that stay need no release."""


def _blocks(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


class Whole:
    """Pages for all of a layout."""

    def __init__(self, pool: Pool, name: str, layout: Layout) -> None:
        """Raises PoolFullError, PoolRefusedError."""
        self.holding = pool.reserve(name, layout.size_bytes)

    def place(self, offset_bytes: int, size_bytes: int) -> Sequence[memoryview] | None:
        return self.holding.buffers(offset_bytes, _blocks(size_bytes))

    def landed(self, offset_bytes: int, size_bytes: int) -> Landed:
        return resident(self.holding, offset_bytes, size_bytes)


def resident(holding: Holding, offset_bytes: int, size_bytes: int) -> Landed:
    """Bytes of a holding that stay where they are."""

    def buffers(at: int, size: int) -> list[memoryview]:
        return holding.buffers(offset_bytes + at, size)

    return Landed(offset_bytes, size_bytes, buffers, _nothing)


class Ring:
    """A few pages that the chunks of a layout pass through, one place a chunk."""

    def __init__(self, pool: Pool, name: str, layout: Layout, ring_bytes: int) -> None:
        """Takes what is free where `ring_bytes` are not, but at least one chunk's room.

        Raises PoolFullError.
        """
        longest = max((part.size_bytes for part in layout.files), default=0)
        self._slot_bytes = _blocks(min(layout.chunk_bytes, max(1, longest)))
        most = max(1, min(ring_bytes // self._slot_bytes, _chunks(layout)))
        self.holding = self._reserve(pool, name, most)
        self._free = list(range(self.holding.size_bytes // self._slot_bytes))
        self._at: dict[int, int] = {}  # offset of a chunk in the layout -> its place
        self._lock = threading.Lock()
        self.freed: Callable[[], None] = _nothing

    def _reserve(self, pool: Pool, name: str, slots: int) -> Holding:
        while True:
            try:
                return pool.reserve(name, slots * self._slot_bytes)
            except PoolFullError:
                if slots == 1:
                    raise
                slots //= 2

    def place(self, offset_bytes: int, size_bytes: int) -> Sequence[memoryview] | None:
        with self._lock:
            if not self._free:
                return None
            slot = self._at[offset_bytes] = self._free.pop()
        return self.holding.buffers(slot * self._slot_bytes, _blocks(size_bytes))

    def landed(self, offset_bytes: int, size_bytes: int) -> Landed:
        with self._lock:
            slot = self._at.pop(offset_bytes)

        def buffers(at: int, size: int) -> list[memoryview]:
            return self.holding.buffers(slot * self._slot_bytes + at, size)

        def release() -> None:
            with self._lock:
                self._free.append(slot)
            self.freed()  # without the lock: the disk queue asks for a place under its own

        return Landed(offset_bytes, size_bytes, buffers, release)


def _chunks(layout: Layout) -> int:
    return max(1, sum(-(-part.size_bytes // layout.chunk_bytes) for part in layout.files))


class Listener(Protocol):
    """A load that wants what an intake reads. Called in reading threads: be quick."""

    def landed(self, landed: Landed) -> None:
        """What it raises ends the intake where pages pass by, and this load alone elsewhere."""
        ...

    def changed(self) -> None:
        """The intake ended."""
        ...


class Intake:
    """The files of one layout on their way into a shelf, for as many loads as want them.

    It ends when all has landed, when something went wrong, or when the last load has left it.
    """

    def __init__(self, layout: Layout, shelf: Shelf, queue: DiskQueue, files: Files) -> None:
        self.layout = layout
        self.shelf = shelf
        self.error: StoreError | None = None
        self.ended = False
        self.landed_bytes = 0
        self.bytes_from: dict[str, int] = {}
        self.read_s = 0.0
        self._queue = queue
        self._files = files
        self._changed = threading.Condition()
        self._listeners: list[Listener] = []
        self._there: list[Landed] = []
        self._readings: list[FileReading] = []
        self._left = len(layout.files)
        self._stop: StoreError | None = None
        self._thread: threading.Thread | None = None
        if isinstance(shelf, Ring):
            shelf.freed = queue.poke

    def begin(self, priority: int, *, verify: bool, on_end: Callable[["Intake"], None]) -> None:
        """Start reading. `on_end` is called in a thread when no other touches the pages."""

        def run() -> None:
            began_s = time.monotonic()
            try:
                error = self._read(priority, verify=verify)
            except Exception as found:  # nobody may wait for a reading that is gone
                path = self.layout.path
                error = StoreError(f"{path}: {type(found).__name__}: {found}")
            with self._changed:
                self.read_s = time.monotonic() - began_s
                self.error = error
            on_end(self)
            with self._changed:
                self.ended = True
                listeners = list(self._listeners)
                self._changed.notify_all()
            for listener in listeners:
                listener.changed()

        self._thread = threading.Thread(target=run, name="hotbed-intake", daemon=True)
        self._thread.start()

    def listen(self, listener: Listener) -> None:
        """Hear of every chunk, those that are there already first, and of the end."""
        with self._changed:
            there = list(self._there)
            self._listeners.append(listener)
            ended = self.ended
        for landed in there:
            listener.landed(landed)
        if ended:
            listener.changed()

    def unlisten(self, listener: Listener) -> None:
        with self._changed:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def hurry(self, priority: int) -> None:
        """A more urgent load joined."""
        with self._changed:
            for reading in self._readings:
                reading.priority = max(reading.priority, priority)

    def stop(self, error: StoreError) -> None:
        """Read no further. Returns at once; `wait` says when it is over."""
        with self._changed:
            self._stop = self._stop or error
            self._changed.notify_all()

    def wait(self) -> None:
        """Until it ended and its thread has gone."""
        assert self._thread is not None
        self._thread.join()

    def _read(self, priority: int, *, verify: bool) -> StoreError | None:
        """In the intake's thread: what went wrong, if anything did, once all threads let go."""
        opened: list[OpenFile] = []
        error: StoreError | None = None
        try:
            for part in self.layout.files:
                opened.append(OpenFile(part.path, self._files))
                reading = self._reading(part, opened[-1], priority, verify=verify)
                with self._changed:
                    self._readings.append(reading)
            for reading in self._readings:
                reading.begin(self._queue)
            with self._changed:
                self._changed.wait_for(lambda: not self._left or self._stop)
                error = self._stop
        except StoreError as found:
            error = found.with_traceback(None)
        for reading in self._readings:
            reading.stop(self._queue, error or StoreError("over"))
        for file in opened:
            file.close()
        return error

    def _reading(
        self, part: FilePart, file: OpenFile, priority: int, *, verify: bool
    ) -> FileReading:
        start = part.offset_bytes
        index = self.layout.index
        source = "page_cache" if file.cached else "ssd"

        def on_chunk(chunk: Chunk) -> None:
            self._on_chunk(start + chunk.offset_bytes, chunk.size_bytes, source)

        return FileReading(
            file,
            lambda offset, size: self.shelf.place(start + offset, size),
            size_bytes=part.size_bytes,
            chunk_bytes=self.layout.chunk_bytes,
            priority=priority,
            check=checksums_of(index, self.layout.partition, part.path)
            if verify and index is not None
            else None,
            on_chunk=on_chunk,
            on_end=self._on_end,
        )

    def _on_chunk(self, offset_bytes: int, size_bytes: int, source: str) -> None:
        landed = self.shelf.landed(offset_bytes, size_bytes)
        with self._changed:
            self.landed_bytes += size_bytes
            self.bytes_from[source] = self.bytes_from.get(source, 0) + size_bytes
            if isinstance(self.shelf, Whole):
                self._there.append(landed)
            listeners = list(self._listeners)
        for listener in listeners:
            listener.landed(landed)

    def _on_end(self, error: StoreError | None) -> None:
        with self._changed:
            self._left -= 1
            if error is not None:
                self._stop = self._stop or error
            self._changed.notify_all()


class Delivery:
    """What landed of a layout, on its way to one load's block on a device."""

    def __init__(
        self,
        layout: Layout,
        block: torch.Tensor,
        copies: CopyQueue,
        priority: int,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is told in the copying thread after each chunk."""
        self.copied_bytes = 0
        self.error: StoreError | None = None
        self.began_s: float | None = None
        self.ended_s: float | None = None
        self._layout = layout
        self._block = block
        self._copies = copies
        self._priority = priority
        self._changed = changed
        self._lock = threading.Lock()
        self._over = False

    @property
    def complete(self) -> bool:
        return self.copied_bytes == self._layout.run_bytes

    def deliver(self, landed: Landed) -> None:
        """Copy what a device gets of these bytes. Raises StoreError."""
        runs = list(pieces(self._layout.runs, landed.offset_bytes, landed.size_bytes))
        if not runs:
            landed.release()
        share = _Share(landed, len(runs))
        for run in runs:
            buffers = landed.buffers(run.host_bytes - landed.offset_bytes, run.size_bytes)
            copied = partial(self._copied, share, run.size_bytes)
            with self._lock:
                if self._over:
                    return  # the load has gone, and its block may have
                self.began_s = self.began_s or time.monotonic()
                copy = Copy(self, self._block, run.device_bytes, buffers, copied)
                self._copies.submit(copy, self._priority)

    def end(self) -> None:
        """Copy no more; returns when neither the block nor the pages are in use by a copy."""
        with self._lock:
            self._over = True
        self._copies.withdraw(self)

    def _copied(self, share: "_Share", size_bytes: int, error: StoreError | None) -> None:
        share.left -= 1
        if error is not None:
            self.error = self.error or error
        self.copied_bytes += 0 if error else size_bytes
        self.ended_s = time.monotonic()
        if not share.left:
            share.landed.release()
        self._changed()


@dataclass(slots=True)
class _Share:
    """What landed together, and how many of its copies are not through."""

    landed: Landed
    left: int
