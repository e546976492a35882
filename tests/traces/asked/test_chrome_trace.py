"""The writer of Chrome traces: what it writes of slices, marks and flows, and how it cuts."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traces.chrome_rules import check
from traces.asked.chrome_trace import ChromeTrace


def written(
    draw: Callable[[ChromeTrace], None], since: float = 0.0, until: float = 1e9
) -> list[dict[str, Any]]:
    """The events of a trace, without names, after the rules were checked."""
    parts: list[bytes] = []
    trace = ChromeTrace(parts.append, since, until)
    draw(trace)
    trace.close()
    return [event for event in check(b"".join(parts)) if event["ph"] != "M"]


def test_phases_of_a_track_follow_each_other() -> None:
    def draw(trace: ChromeTrace) -> None:
        track = trace.track(trace.process("node"), "GPU 0")
        trace.begin(track, "loading", 1.0, {"bytes": 40})
        trace.begin(track, "idle for no time", 3.5)
        trace.begin(track, "ready", 3.5)
        trace.end(track, 4.0)
        trace.end(track, 9.0)

    told = [(event["name"], event["ts"], event["dur"]) for event in written(draw)]
    assert told == [("loading", 1e6, 2.5e6), ("ready", 3.5e6, 0.5e6)]


def test_what_sticks_out_of_the_window_is_cut() -> None:
    def draw(trace: ChromeTrace) -> None:
        pid = trace.process("node")
        track, loads = trace.track(pid, "GPU 0"), trace.track(pid, "loads")
        trace.complete(loads, "load", (1.0, 5.0))
        trace.complete(loads, "before", (0.0, 1.0))
        trace.lasting(pid, 7, "request", (0.5, 30.0))
        trace.begin(track, "before", 0.5)
        trace.begin(track, "across", 1.0)
        trace.sent("arrow", 1, "early", (loads, track), 1.5)
        trace.begin(track, "within", 4.0)
        trace.begin(track, "out", 8.0)
        trace.end(track, 20.0)
        trace.instant(track, "early", 1.0)
        trace.counter(pid, "late", 12.0, 3)

    told = [
        (event["ph"], event["name"], event["ts"] / 1e6, event.get("dur", 0) / 1e6)
        for event in written(draw, 2.0, 10.0)
    ]
    assert told == [
        ("X", "load", 2.0, 3.0),
        ("b", "request", 2.0, 0.0),
        ("e", "request", 10.0, 0.0),
        ("X", "across", 2.0, 2.0),
        ("X", "within", 4.0, 4.0),
        ("X", "out", 8.0, 2.0),
    ]


def test_an_arrow_points_from_mark_to_mark() -> None:
    def draw(trace: ChromeTrace) -> None:
        pid = trace.process("requests")
        marks, track = trace.track(pid, "sent"), trace.track(pid, "GPU 0")
        trace.begin(track, "busy", 2.0)
        for number in range(3):  # at one moment
            trace.sent("dispatch", number, f"request {number}", (marks, track), 2.0)
        trace.sent("dispatch", 3, "request 3", (marks, None), 2.5)
        trace.end(track, 3.0)

    events = written(draw)
    assert [event["id"] for event in events if event["ph"] == "s"] == [0, 1, 2]
    assert sum(event["name"].startswith("request") for event in events) == 7


def test_a_move_is_a_slice_with_an_arrow_to_where_it_ends() -> None:
    def draw(trace: ChromeTrace) -> None:
        pid = trace.process("node")
        way = trace.track(pid, "away"), trace.track(pid, "here")
        trace.moved("migration", 0, "request 0", way, (1.0, 2.0))
        trace.moved("migration", 1, "request 1", way, (3.0, 3.0))

    events = written(draw)
    assert [event["id"] for event in events if event["ph"] == "f"] == [0]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 10**8).map(lambda us: us / 1e6), min_size=2, max_size=40).map(sorted),
    st.floats(0.0, 100.0),
    st.floats(0.0, 100.0),
)
def test_any_times_and_window_keep_the_rules(times: list[float], one: float, two: float) -> None:
    def draw(trace: ChromeTrace) -> None:
        pid = trace.process("node")
        track, marks = trace.track(pid, "GPU 0"), trace.track(pid, "marks")
        for number, at in enumerate(times):
            trace.begin(track, f"phase {number}", at)
            trace.sent("arrow", number, "mark", (marks, track), at)
            trace.lasting(pid, number, "outer", (times[0], at))
            trace.lasting(pid, number, "inner", (times[number // 2], at))
        trace.end(track, times[-1] + 1.0)

    written(draw, min(one, two), max(one, two))


def test_a_trace_of_nothing_is_a_trace() -> None:
    parts: list[bytes] = []
    ChromeTrace(parts.append).close()
    assert json.loads(b"".join(parts)) == {"displayTimeUnit": "ms", "traceEvents": []}
