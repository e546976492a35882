"""A disk that fails, and a process that writes to one until the kernel kills it. No hypothesis."""

import os
import signal
import sys
import threading
from pathlib import Path

from runtime.store.files import Disk
from runtime.store.format.sources import Extent, Source, plain_extent
from runtime.store.format.writing import write_checkpoint

CHUNK_BYTES = 8192


def source(*sizes: int, fill: int = 7) -> Source:
    """One partition of plain byte tensors t0, t1, ... of these sizes."""
    return Source([[_extent(number, size, fill) for number, size in enumerate(sizes)]])


def _extent(number: int, size: int, fill: int) -> Extent:
    data = bytes((fill + number + place) % 251 for place in range(size))
    return plain_extent(f"t{number}", "uint8", (size,), lambda: memoryview(data))


class FaultyDisk(Disk):
    """The real disk, whose `fail_at`-th change (create, write, sync, name) goes wrong.

    A `fault` that is a number of bytes makes every write that short instead; 0 does nothing.
    """

    def __init__(self, fail_at: int | None, fault: BaseException | int) -> None:
        self.fail_at = fail_at
        self.fault = fault
        self.changes = 0
        self._lock = threading.Lock()

    def _change(self) -> None:
        with self._lock:
            self.changes += 1
            reached = self.changes == self.fail_at
        if reached:
            self._fail()

    def _fail(self) -> None:
        if isinstance(self.fault, BaseException):
            raise self.fault

    def create(self, path: Path, *, direct: bool) -> int:
        self._change()
        return super().create(path, direct=direct)

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset_bytes: int) -> int:
        self._change()
        most = self.fault if isinstance(self.fault, int) and self.fault else len(data)
        return super().pwrite(descriptor, data[:most], offset_bytes)

    def sync(self, descriptor: int) -> None:
        self._change()
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self._change()
        super().rename(source, target)

    def exchange(self, one: Path, other: Path) -> None:
        self._change()
        super().exchange(one, other)

    def sync_folder(self, path: Path) -> None:
        self._change()
        super().sync_folder(path)


class LastDisk(FaultyDisk):
    """The process ends at the `fail_at`-th change, as by kill -9."""

    def _fail(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _serve() -> None:
    """A line `target number replace` from stdin: a child writes and dies at that change."""
    for line in sys.stdin:
        target, number, replace = line.split()
        child = os.fork()
        if not child:
            write_checkpoint(
                source(20_000, 9),
                Path(target),
                files=LastDisk(int(number), 0),
                replace=replace == "True",
                chunk_bytes=CHUNK_BYTES,
            )
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
