"""Fetches a file in chunks, several at a time: onto the disk and, at once, into a sink such as the
host pool. Resumed from its journal, checked, and with a bounded memory of the chunks in flight.

A server without ranges is read in one stream, from the start each time. Nothing is known here of
what the bytes mean.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from runtime.store.errors import CancelledError, NoSpaceError
from runtime.store.format.data_file import named
from runtime.store.remote.errors import RemoteError
from runtime.store.remote.journal import Checks, Partial, begun, drop, journal_of
from runtime.store.remote.retrying import Patience, persistently
from runtime.store.remote.sources import RemoteFile

CHUNK_BYTES: Final = 8 << 20
IN_FLIGHT: Final = 8
FREE_ROOM_BYTES: Final = 64 << 20

#: Given an offset in the file and the bytes there: every chunk once, by several threads.
Sink = Callable[[int, memoryview], None]
#: Told how many bytes more are there.
Came = Callable[[int], None]


class Place(Protocol):
    """Memory for a file, such as a Holding of the host pool."""

    def buffers(self, offset_bytes: int, size_bytes: int) -> list[memoryview]: ...


@dataclass(frozen=True, slots=True)
class Fetch:
    """How files are fetched: `chunk_bytes` where no checksums say it; `came` is for progress."""

    patience: Patience = field(default_factory=Patience)
    in_flight: int = IN_FLIGHT
    chunk_bytes: int = CHUNK_BYTES
    came: Came = lambda count: None


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many bytes came over the wire, and how many were there from an earlier fetch."""

    read_bytes: int
    kept_bytes: int


def into(place: Place, offset_bytes: int = 0) -> Sink:
    """A sink that copies a file into memory, from an offset of it on."""

    def put(offset: int, data: memoryview) -> None:
        done = 0
        for buffer in place.buffers(offset_bytes + offset, len(data)):
            buffer[:] = data[done : done + len(buffer)]
            done += len(buffer)

    return put


def fetch(
    file: RemoteFile,
    target: Path,
    how: Fetch,
    *,
    checks: Checks | None = None,
    sink: Sink | None = None,
) -> Fetched:
    """The file in its place, whole and durable. Raises as `fetch_partial`.

    Until then it lies in `TARGET.part`, where the next fetch of it goes on.
    """
    part = target.with_name(f"{target.name}.part")
    found = fetch_partial(file, part, how, checks=checks, sink=sink)
    with named(target):
        os.replace(part, target)
        journal_of(part).unlink(missing_ok=True)
    return found


def fetch_partial(
    file: RemoteFile,
    part: Path,
    how: Fetch,
    *,
    checks: Checks | None = None,
    sink: Sink | None = None,
) -> Fetched:
    """The file as `part`, whole and durable, its journal kept beside it.

    Raises RemoteError in one line once the tries are used up, RemoteChangedError for a file that
    is another than the one begun with, NoSpaceError before it begins or WriteError while it writes,
    CancelledError where `patience.stop` was set. What has come then stays, and is not asked for
    again.
    """
    _refuse_other_size(file, checks)
    if not file.state.ranged or file.state.size_bytes is None:
        return _streamed(file, part, how, checks, sink)
    with Partial(part, begun(file, how.chunk_bytes, checks), checks) as partial:
        kept: dict[int, int] = {}
        for number, data in partial.kept():
            _hand_on(partial, number, data, sink, how)
            kept[number] = len(data)
        count = -(-file.state.size_bytes // partial.what.chunk_bytes)
        missing = [number for number in range(count) if number not in kept]
        _refuse_no_space(part, sum(map(partial.size_of, missing)))
        _Chunks(file, partial, how, sink).fetch(missing)
        partial.sync()
    return Fetched(file.state.size_bytes - sum(kept.values()), sum(kept.values()))


class _Chunks:
    """Chunks of one file on their way, by threads that stop together."""

    def __init__(self, file: RemoteFile, partial: Partial, how: Fetch, sink: Sink | None) -> None:
        self._file = file
        self._partial = partial
        self._how = how
        self._sink = sink
        self._lock = threading.Lock()
        self._failed = False

    def fetch(self, numbers: Iterable[int]) -> None:
        """All of them. Raises what the first that failed raises, when every thread has ended."""
        rest = iter(numbers)
        with ThreadPoolExecutor(self._how.in_flight, "hotbed-fetch") as threads:
            work = [threads.submit(self._work, rest) for _ in range(self._how.in_flight)]
            try:
                wait(work, return_when=FIRST_EXCEPTION)
            except BaseException:  # Ctrl-C: nothing is asked for any more
                self._how.patience.stop.set()
                self._file.cancel()
                raise
            finally:
                self._failed = True  # done, or told to be
        _raise_first(work)

    def _work(self, rest: Iterator[int]) -> None:
        while not self._failed:
            with self._lock:
                number = next(rest, None)
            if number is None:
                return
            try:
                self._one(number)
            except BaseException:
                self._failed = True
                raise

    def _one(self, number: int) -> None:
        data = memoryview(persistently(self._how.patience, lambda: self._read(number)))
        self._partial.put(number, data)
        _hand_on(self._partial, number, data, self._sink, self._how)

    def _read(self, number: int) -> bytes:
        if self._failed:
            raise CancelledError("another chunk could not be fetched")
        offset = number * self._partial.what.chunk_bytes
        data = self._file.read(offset, self._partial.size_of(number))
        if not self._partial.is_right(number, data):
            what = f"what came at byte {offset} is not what the index says: its checksum is another"
            raise RemoteError(self._file.url, what, again=True)
        return data


def _raise_first(work: Iterable[Future[None]]) -> None:
    """The failure that stopped the others, rather than that they were stopped."""
    errors = [error for one in work if (error := one.exception()) is not None]
    told = [error for error in errors if not isinstance(error, CancelledError)]
    if told or errors:
        raise (told or errors)[0]


def _hand_on(
    partial: Partial, number: int, data: memoryview, sink: Sink | None, how: Fetch
) -> None:
    if sink:
        sink(number * partial.what.chunk_bytes, data)
    how.came(len(data))


def _streamed(
    file: RemoteFile, part: Path, how: Fetch, checks: Checks | None, sink: Sink | None
) -> Fetched:
    """One stream from the start; where it breaks off, from the start again."""
    _refuse_no_space(part, file.state.size_bytes or 0)
    drop(part)
    size = persistently(how.patience, lambda: _stream_once(file, part, how, checks, sink))
    return Fetched(size, 0)


def _stream_once(
    file: RemoteFile, part: Path, how: Fetch, checks: Checks | None, sink: Sink | None
) -> int:
    counted = 0
    with Partial(part, begun(file, how.chunk_bytes, checks), checks) as partial:
        try:
            for number, data in enumerate(_rechunked(file, partial.what.chunk_bytes)):
                if how.patience.stop.is_set():
                    raise CancelledError("the fetch was told to stop")
                if checks and not partial.is_right(number, data):
                    what = f"what came at byte {counted} is not what the index says"
                    raise RemoteError(file.url, what, again=True)
                partial.write(counted, data)
                counted += len(data)
                _hand_on(partial, number, memoryview(data), sink, how)
            _refuse_end(file, counted, checks)
        except BaseException:
            how.came(-counted)
            raise
        partial.sync()
    return counted


def _rechunked(file: RemoteFile, chunk_bytes: int) -> Iterator[bytes]:
    waiting = bytearray()
    for block in file.blocks():
        waiting += block
        while len(waiting) >= chunk_bytes:
            yield bytes(waiting[:chunk_bytes])
            del waiting[:chunk_bytes]
    if waiting:
        yield bytes(waiting)


def _refuse_end(file: RemoteFile, size_bytes: int, checks: Checks | None) -> None:
    if checks and -(-size_bytes // checks.chunk_bytes) != len(checks.checksums):
        raise RemoteError(file.url, f"ended after {size_bytes} bytes", again=True)


def _refuse_other_size(file: RemoteFile, checks: Checks | None) -> None:
    size = file.state.size_bytes
    if checks is None or size is None:
        return
    if -(-size // checks.chunk_bytes) != len(checks.checksums):
        raise RemoteError(file.url, f"{size} bytes: not as many as the index says")


def _refuse_no_space(part: Path, need_bytes: int) -> None:
    with named(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        found = os.statvfs(part.parent)
    free = found.f_bavail * found.f_frsize
    if need_bytes and need_bytes + FREE_ROOM_BYTES > free:
        raise NoSpaceError(
            f"{part}: needs {need_bytes + FREE_ROOM_BYTES:,} bytes, {free:,} are free on its disk"
        )
