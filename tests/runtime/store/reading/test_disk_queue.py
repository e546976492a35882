"""Works take turns by priority, and one that is over leaves no trace in the queue."""

import mmap
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.store.errors import CancelledError, PoolRefusedError, StoreError
from runtime.store.files import DISK, Disk
from runtime.store.reading.chunks import Chunk
from runtime.store.reading.disk_queue import DiskQueue
from runtime.store.reading.file_reading import FileReading
from runtime.store.reading.open_file import OpenFile
from runtime.store.reading.tuning import Tuning

CHUNK = 4096
CHUNKS = 4


@dataclass
class Gate(Disk):
    """A disk on which every read waits until it is let through."""

    open: threading.Event = field(default_factory=threading.Event)
    reached: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def preadv(
        self, descriptor: int, buffers: Sequence[memoryview], offset_bytes: int, flags: int = 0
    ) -> int:
        self.reached.release()
        self.open.wait()
        return super().preadv(descriptor, buffers, offset_bytes, flags)


@contextmanager
def _file(path: Path, files: Disk = DISK) -> Iterator[OpenFile]:
    path.write_bytes(os.urandom(CHUNK * CHUNKS))
    file = OpenFile(path, files)
    try:
        yield file
    finally:
        file.close()


def _reading(file: OpenFile, order: list[str], priority: int = 0) -> FileReading:
    memory = memoryview(mmap.mmap(-1, CHUNK * CHUNKS))
    return FileReading(
        file,
        lambda offset, size: [memory[offset : offset + size]],
        size_bytes=CHUNK * CHUNKS,
        chunk_bytes=CHUNK,
        priority=priority,
        on_chunk=lambda chunk: order.append(f"{file.path.name}{chunk.number}"),
    )


def test_higher_priorities_go_first_and_equals_take_turns(tmp_path: Path) -> None:
    order: list[str] = []
    gate = Gate()
    with (
        _file(tmp_path / "first", gate) as first,
        _file(tmp_path / "a") as a,
        _file(tmp_path / "b") as b,
        _file(tmp_path / "urgent") as urgent,
        DiskQueue(Tuning(start=1, most=1)) as queue,
    ):
        works = [_reading(first, order), _reading(a, order), _reading(b, order)]
        works.append(_reading(urgent, order, priority=1))
        works[0].begin(queue)
        gate.reached.acquire()  # the only thread is at first0: the others can line up
        for work in works[1:]:
            work.begin(queue)
        gate.open.set()
        for work in works:
            work.wait()
    turns = "first1 a0 b0 first2 a1 b1 first3 a2 b2 a3 b3".split()
    assert order == ["first0", *(f"urgent{number}" for number in range(CHUNKS)), *turns]


def test_withdrawing_waits_for_the_chunk_that_is_being_read(tmp_path: Path) -> None:
    gate, order = Gate(), list[str]()
    with _file(tmp_path / "a", gate) as file, DiskQueue(Tuning(start=1, most=1)) as queue:
        work = _reading(file, order)
        work.begin(queue)
        gate.reached.acquire()
        stopper = threading.Thread(target=work.stop, args=(queue, CancelledError("enough")))
        stopper.start()
        gate.open.set()
        stopper.join()
        with pytest.raises(CancelledError, match="enough"):
            work.wait()
    assert order in ([], ["a0"])


def test_a_finished_work_is_let_go(tmp_path: Path) -> None:
    with _file(tmp_path / "a") as file, DiskQueue() as queue:
        work = _reading(file, [])
        gone = threading.Event()
        weakref.finalize(work, gone.set)
        work.begin(queue)
        work.wait()
        queue.withdraw(work)
        del work
        _reading(file, []).begin(queue)  # whatever thread had the last one moves on
        assert gone.wait(timeout=60)


def test_a_place_that_is_refused_ends_the_work(tmp_path: Path) -> None:
    def refuse(offset: int, size: int) -> list[memoryview]:
        raise PoolRefusedError("no longer in the pool")

    with _file(tmp_path / "a") as file, DiskQueue() as queue:
        work = FileReading(file, refuse, size_bytes=CHUNK * CHUNKS, chunk_bytes=CHUNK)
        work.begin(queue)
        with pytest.raises(PoolRefusedError, match="no longer"):
            work.wait()


def test_what_is_left_when_the_queue_closes_fails(tmp_path: Path) -> None:
    asked = threading.Event()

    def nowhere(offset: int, size: int) -> None:
        asked.set()

    with _file(tmp_path / "a") as file:
        queue = DiskQueue()
        work = FileReading(file, nowhere, size_bytes=CHUNK * CHUNKS, chunk_bytes=CHUNK)
        work.begin(queue)
        asked.wait()
        queue.close()
        with pytest.raises(StoreError, match="queue was closed"):
            work.wait()
        with pytest.raises(StoreError, match="is closed"):
            queue.submit(work)


def test_a_bug_in_what_takes_a_chunk_is_told_and_not_waited_for(tmp_path: Path) -> None:
    def broken(chunk: Chunk) -> None:
        raise RuntimeError("device lost")

    memory = memoryview(mmap.mmap(-1, CHUNK * CHUNKS))
    with _file(tmp_path / "a") as file, DiskQueue() as queue:
        work = FileReading(
            file,
            lambda offset, size: [memory[offset : offset + size]],
            size_bytes=CHUNK * CHUNKS,
            on_chunk=broken,
        )
        work.begin(queue)
        with pytest.raises(StoreError, match="RuntimeError: device lost"):
            work.wait()
        queue.withdraw(work)
