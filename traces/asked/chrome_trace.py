"""Chrome's Trace Event Format, written as it comes: processes, tracks, slices, flows, counters.

The JSON object form that chrome://tracing and Perfetto's importer read ("Trace Event Format",
Google, public document of the Catapult project): ts and dur in microseconds; X are slices, which
nest on a thread; b/e are asynchronous slices by id; s/f are flows between the slices that enclose
them; C are counters, i instants, M names. Perfetto (v52 was tried) sorts by time and parts equal
times as it likes, and lets a flow point from the slice that begins first: so no slice lasts no
time, and arrows are drawn between marks. Knows the format and a window of time, nothing of what is
shown.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

Write = Callable[[bytes], object]
Args = Mapping[str, Any]

#: Thread ids begin here: some importers know a thread by its id alone, and a process by an equal
#: one as its main thread.
FIRST_TID: Final = 1_000_000
#: What times are rounded to, microseconds.
STEP_US: Final = 0.001
#: A mark stands for a moment but must be a slice with a moment inside it.
MARK_US: Final = 2 * STEP_US


class Track:
    """A thread of a process: slices that follow each other, one open at a time."""

    __slots__ = ("begin", "marked_us", "name", "open_args", "open_name", "pid", "tid")

    def __init__(self, pid: int, tid: int, name: str) -> None:
        self.pid = pid
        self.tid = tid
        self.name = name
        self.open_name: str | None = None
        self.open_args: Args = {}
        self.begin = 0.0
        self.marked_us = 0.0  # until when the last mark lasts


class ChromeTrace:
    """Writes a trace of the time between `since` and `until`, seconds; what sticks out is cut."""

    def __init__(self, write: Write, since: float = 0.0, until: float = math.inf) -> None:
        self.since = since
        self.until = until
        self.events = 0
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        self._pid = 0
        self._tid = FIRST_TID
        write(b'{"displayTimeUnit":"ms","traceEvents":[')

    def close(self) -> None:
        """The end of the file. Open slices must have been closed."""
        self._write(b"\n]}\n")

    def _put(self, event: dict[str, Any]) -> None:
        self._write((b",\n" if self.events else b"\n") + self._encode(event))
        self.events += 1

    # Names

    def process(self, name: str) -> int:
        """A new process; they are shown in the order in which they are made."""
        self._pid += 1
        self._name("process_name", self._pid, {"name": name})
        self._name("process_sort_index", self._pid, {"sort_index": self._pid})
        return self._pid

    def track(self, pid: int, name: str, place: int = 0) -> Track:
        """A new thread of a process, shown at that place among its threads."""
        self._tid += 1
        self._name("thread_name", pid, {"name": name}, self._tid)
        self._name("thread_sort_index", pid, {"sort_index": place}, self._tid)
        return Track(pid, self._tid, name)

    def _name(self, what: str, pid: int, args: Args, tid: int | None = None) -> None:
        thread = {} if tid is None else {"tid": tid}
        self._put({"ph": "M", "name": what, "pid": pid, **thread, "args": args})

    # Slices

    def begin(self, track: Track, name: str, at: float, args: Args | None = None) -> None:
        """Open a slice; the one that is open on the track ends there."""
        self.end(track, at)
        track.open_name, track.open_args, track.begin = name, args or {}, at

    def end(self, track: Track, at: float) -> None:
        """Close the open slice, if there is one, and write it. What lasts no time is left out."""
        name, track.open_name = track.open_name, None
        if name is not None:
            self.complete(track, name, (track.begin, at), track.open_args)

    def complete(
        self, track: Track, name: str, span: tuple[float, float], args: Args | None = None
    ) -> bool:
        """A slice that is over; whether anything of it is within the window and lasts.

        No other on the track may overlap it.
        """
        begin, end = self._cut(span)
        if end <= begin:
            return False
        event = {"ph": "X", "name": name, "ts": begin, "dur": round(end - begin, 3), **_on(track)}
        self._put({**event, "args": args} if args else event)
        return True

    def lasting(
        self, pid: int, number: int, name: str, span: tuple[float, float], args: Args | None = None
    ) -> None:
        """An asynchronous slice, by its id: those of one id nest, those of others may overlap it.

        The outer of two is written first; what lasts no time is left out.
        """
        begin, end = self._cut(span)
        if end <= begin:
            return
        about = {"cat": "request", "id2": {"local": f"{number:#x}"}, "pid": pid, "name": name}
        self._put({"ph": "b", "ts": begin, **about, "args": args or {}})
        self._put({"ph": "e", "ts": end, **about})

    def _cut(self, span: tuple[float, float]) -> tuple[float, float]:
        """What of it is within the window, microseconds."""
        return micros(max(span[0], self.since)), micros(min(span[1], self.until))

    # Between slices

    def mark(self, track: Track, name: str, begin_us: float) -> float:
        """A slice that stands for a moment; where within it a flow may touch it, microseconds.

        Many at one moment stand side by side, not upon each other.
        """
        ts = max(begin_us, track.marked_us)
        track.marked_us = round(ts + MARK_US, 3)
        self._put({"ph": "X", "name": name, "ts": ts, "dur": MARK_US, **_on(track)})
        return round(ts + STEP_US, 3)

    def sent(
        self, kind: str, number: int, name: str, way: tuple[Track, Track | None], at: float
    ) -> None:
        """An arrow between marks of two tracks, one before that moment and one after it.

        The second one lies within the slice that is open there. Without it there is no arrow.
        """
        if not self._within(at):
            return
        begin_us = max(round(micros(at) - MARK_US, 3), 0.0)
        begin = self.mark(way[0], name, begin_us)
        if way[1] is not None:
            end = self.mark(way[1], name, round(begin + STEP_US, 3))
            self._arrow(kind, number, (way[0], begin), (way[1], end))

    def moved(
        self, kind: str, number: int, name: str, way: tuple[Track, Track],
        span: tuple[float, float],
    ) -> None:  # fmt: skip
        """A slice for as long as something moves away, and an arrow to a mark where it is then."""
        begin, end = micros(span[0]), micros(span[1])
        within = self._within(span[0]) and self._within(span[1])
        if self.complete(way[0], name, span) and within:
            self._arrow(
                kind, number, (way[0], round(begin + STEP_US, 3)),
                (way[1], self.mark(way[1], name, round(end + STEP_US, 3))),
            )  # fmt: skip

    def _arrow(
        self, kind: str, number: int, begin: tuple[Track, float], end: tuple[Track, float]
    ) -> None:
        about = {"name": kind, "cat": kind, "id": number}
        self._put({"ph": "s", "ts": begin[1], **about, **_on(begin[0])})
        self._put({"ph": "f", "bp": "e", "ts": end[1], **about, **_on(end[0])})

    def instant(self, where: Track | int, name: str, at: float, args: Args | None = None) -> None:
        """A moment of a track, or of a whole process by its pid."""
        if self._within(at):
            scope = {"pid": where, "s": "p"} if isinstance(where, int) else {**_on(where), "s": "t"}
            self._put({"ph": "i", "name": name, "ts": micros(at), **scope, "args": args or {}})

    def counter(self, pid: int, name: str, at: float, value: float) -> None:
        """From here on the counter has this value."""
        if self._within(at):
            args = {"value": value}
            self._put({"ph": "C", "name": name, "ts": micros(at), "pid": pid, "args": args})

    def _within(self, at: float) -> bool:
        return self.since <= at < self.until


def micros(at: float) -> float:
    """Seconds as microseconds, to the nanosecond."""
    return round(at * 1e6, 3)


def _on(track: Track) -> dict[str, int]:
    return {"pid": track.pid, "tid": track.tid}
