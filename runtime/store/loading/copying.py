"""One device's link: copies of several loads, the most urgent first, a few under way at a time.

It knows no files and no tensors: a copy is bytes, a place in a block and whom to tell.
"""

import heapq
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

import torch

from runtime.store.errors import StoreError
from runtime.store.loading.devices import Copied, Device

DEPTH: Final = 2  # copies under way: the link never idles, and an urgent one soon gets its turn


@dataclass(frozen=True, slots=True)
class Copy:
    """Pieces that go into a block one behind another. `copied` is told in the copying thread.

    `owner` is the load: what it submitted can be withdrawn together.
    """

    owner: object
    block: torch.Tensor
    at_bytes: int
    pieces: Sequence[memoryview]
    copied: Callable[[StoreError | None], None]


class CopyQueue:
    """The thread that makes a device's copies; it begins with the first and ends with `close`."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int, Copy]] = []
        self._under_way: deque[tuple[Copy, list[Copied]]] = deque()
        self._busy: Counter[object] = Counter()
        self._numbers = count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, copy: Copy, priority: int) -> None:
        """Higher priorities go first, equal ones in turn. Raises StoreError once closed."""
        with self._changed:
            if self._closed:
                raise StoreError(f"{self._device.name}: its copies were ended")
            heapq.heappush(self._waiting, (-priority, next(self._numbers), copy))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hotbed-copy", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def withdraw(self, owner: object) -> None:
        """Copy no more for an owner; returns when nothing of its memory is in use."""
        with self._changed:
            self._waiting = [one for one in self._waiting if one[2].owner is not owner]
            heapq.heapify(self._waiting)
            self._changed.wait_for(lambda: not self._busy[owner])
            del self._busy[owner]

    def close(self) -> None:
        """Finish what is under way, and end the thread. Loads must have ended."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._step():
            pass  # a frame of its own for each copy: a waiting thread keeps no block alive

    def _step(self) -> bool:
        """Start the next copy, or wait for the oldest one under way; False once closed."""
        copy = self._next()
        if copy is not None:
            self._start(copy)
            return True
        if self._under_way:
            self._finish(*self._under_way.popleft())
            return True
        return False

    def _next(self) -> Copy | None:
        """What to start; None where the oldest under way is to be waited for, or all is over."""
        with self._changed:
            if not self._under_way:
                self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed or not self._waiting or len(self._under_way) >= DEPTH:
                return None
            copy = heapq.heappop(self._waiting)[2]
            self._busy[copy.owner] += 1
            return copy

    def _start(self, copy: Copy) -> None:
        started: list[Copied] = []
        at = copy.at_bytes
        try:
            for piece in copy.pieces:
                started.append(self._device.copy(copy.block, at, piece))
                at += len(piece)
        except Exception as error:  # what a driver raises has many names
            self._end(copy, started, _said(self._device, error))
        else:
            self._under_way.append((copy, started))

    def _finish(self, copy: Copy, started: list[Copied]) -> None:
        self._end(copy, started, None)

    def _end(self, copy: Copy, started: list[Copied], error: StoreError | None) -> None:
        for one in started:
            try:
                one.wait()
            except Exception as late:  # a device that is lost says so here
                error = error or _said(self._device, late)
        try:
            copy.copied(error)
        finally:
            with self._changed:
                self._busy[copy.owner] -= 1
                self._changed.notify_all()


def _said(device: Device, error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error.with_traceback(None)
    return StoreError(f"{device.name}: copy failed: {type(error).__name__}: {error}")
