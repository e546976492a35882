"""One queue of chunks over everything that is being read from a disk, and the threads on it.

The next chunk goes to whichever thread is free first: none waits for a slow one. Higher priorities
go first, equal ones take turns chunk by chunk. What goes wrong in a thread always reaches the work.
"""

import threading
import time
from collections import Counter

from runtime.store.closing import Closing
from runtime.store.errors import StoreError
from runtime.store.reading.chunks import Chunk, Work, read_chunk
from runtime.store.reading.tuning import Tuning


class DiskQueue(Closing):
    """Threads that read chunks; they begin with the first work and end with `close`."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self._tuning = tuning or Tuning()
        self._changed = threading.Condition()
        self._works: list[Work] = []  # those with something left to take, the next in turn first
        self._reading: Counter[Work] = Counter()  # chunks of it that threads are at
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, work: Work) -> None:
        """Read a work's chunks. Raises StoreError once closed."""
        with self._changed:
            if self._closed:
                raise StoreError("the disk queue is closed")
            self._works.append(work)
            self._grow()
            self._changed.notify_all()

    def withdraw(self, work: Work) -> None:
        """Read no more of a work; returns when no thread touches its memory any more."""
        self._remove(work)
        with self._changed:
            self._changed.wait_for(lambda: not self._reading[work])

    def poke(self) -> None:
        """A work that had no place for its next chunk may have one again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End the threads; works that were left fail. A second time does nothing."""
        with self._changed:
            self._closed = True
            left, self._works = self._works, []
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for work in left:
            work.failed(StoreError(f"{work.file.path}: the disk queue was closed"))

    def _grow(self) -> None:
        while len(self._threads) < self._tuning.threads:
            thread = threading.Thread(target=self._run, name="hotbed-read", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while self._serve():
            pass  # a frame of its own for each chunk: a waiting thread keeps no memory alive

    def _serve(self) -> bool:
        job = self._next()
        if job is None:
            return False
        work, chunk = job
        error = _read(work, chunk)
        if error:
            self._remove(work)
            work.failed(error)  # before it counts as done: `withdraw` waits for this, too
        self._done(work, chunk)
        return True

    def _done(self, work: Work, chunk: Chunk) -> None:
        with self._changed:
            self._reading[work] -= 1
            if not self._reading[work]:
                del self._reading[work]  # nothing may keep a finished work, and its memory
            self._tuning.landed(chunk.size_bytes, time.monotonic())
            if not self._closed:
                self._grow()
            self._changed.notify_all()

    def _next(self) -> tuple[Work, Chunk] | None:
        """The next chunk to read, waiting for one; None once closed."""
        with self._changed:
            while not self._closed:
                busy = sum(self._reading.values())
                job = self._take() if busy < self._tuning.threads else None
                if job is not None:
                    self._reading[job[0]] += 1
                    return job
                if busy < self._tuning.threads:
                    self._tuning.idle()
                self._changed.wait()
            return None

    def _take(self) -> tuple[Work, Chunk] | None:
        for work in sorted(self._works, key=lambda one: -one.priority):  # a stable order: turns
            if self._reading[work] >= work.at_once:
                continue
            chunk = work.take()
            if chunk is not None or work.finished:
                self._works.remove(work)
            if chunk is not None:
                if not work.finished:
                    self._works.append(work)
                return work, chunk
        return None

    def _remove(self, work: Work) -> None:
        with self._changed:
            if work in self._works:
                self._works.remove(work)


def _read(work: Work, chunk: Chunk) -> StoreError | None:
    """What went wrong with a chunk, if anything did."""
    try:
        read_chunk(work.file, chunk)
        work.landed(chunk)
    except StoreError as error:
        return error.with_traceback(None)  # its frames would keep views of the memory
    except Exception as error:  # a device that is lost, a bug: nobody may wait for it for ever
        return StoreError(f"{work.file.path}: {type(error).__name__}: {error}")
    return None
