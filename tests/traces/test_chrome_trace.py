"""The writer of Chrome traces: what it writes of slices, marks and flows, and how it cuts."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traces.chrome_rules import check
from traces.chrome_trace import ChromeTrace


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
        trace.begin(track, "ready", 3.5)
        trace.end(track, 4.0)
        trace.end(track, 9.0)

    told = [(event["ph"], event.get("name"), event["ts"]) for event in written(draw)]
    assert told == [
        ("B", "loading", 1e6),
        ("E", None, 3.5e6),
        ("B", "ready", 3.5e6),
        ("E", None, 4e6),
    ]


def test_what_sticks_out_of_the_window_is_cut() -> None:
    def draw(trace: ChromeTrace) -> None:
        pid = trace.process("node")
        track, loads = trace.track(pid, "GPU 0"), trace.track(pid, "loads")
        trace.complete(loads, "load", (1.0, 5.0))
        trace.complete(loads, "before", (0.0, 1.0))
        trace.lasting(pid, 7, "request", (0.5, 30.0))
        trace.begin(track, "before", 0.5)
        trace.begin(track, "across", 1.0)
        trace.begin(track, "within", 4.0)
        trace.begin(track, "out", 8.0)
        trace.end(track, 20.0)
        trace.instant(track, "early", 1.0)
        trace.counter(pid, "late", 12.0, 3)
        trace.flow("arrow", 1, (track, 1.0), (track, 4.5))

    told = [
        (event["ph"], event.get("name"), event["ts"] / 1e6, event.get("dur", 0) / 1e6)
        for event in written(draw, 2.0, 10.0)
    ]
    assert told == [
        ("X", "load", 2.0, 3.0),
        ("b", "request", 2.0, 0.0),
        ("e", "request", 10.0, 0.0),
        ("B", "across", 2.0, 0.0),
        ("E", None, 4.0, 0.0),
        ("B", "within", 4.0, 0.0),
        ("E", None, 8.0, 0.0),
        ("B", "out", 8.0, 0.0),
        ("E", None, 10.0, 0.0),
    ]


def test_an_arrow_may_begin_at_a_mark() -> None:
    def draw(trace: ChromeTrace) -> None:
        pid = trace.process("requests")
        marks, track = trace.track(pid, "sent"), trace.track(pid, "GPU 0")
        trace.begin(track, "busy", 2.0)
        for number in range(3):  # at one moment
            trace.mark(marks, f"request {number}", 2.0)
            trace.flow("dispatch", number, (marks, 2.0), (track, 2.0))
        trace.end(track, 3.0)

    assert sum(event["ph"] == "s" for event in written(draw)) == 3


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.0, 1e5), min_size=2, max_size=40).map(sorted),
    st.floats(0.0, 1e5),
    st.floats(0.0, 1e5),
)
def test_any_times_and_window_keep_the_rules(times: list[float], one: float, two: float) -> None:
    def draw(trace: ChromeTrace) -> None:
        pid = trace.process("node")
        track, marks = trace.track(pid, "GPU 0"), trace.track(pid, "marks")
        for number, at in enumerate(times):
            trace.begin(track, f"phase {number}", at)
            trace.mark(marks, "mark", at)
            trace.flow("arrow", number, (marks, at), (track, at))
            trace.lasting(pid, number, "outer", (times[0], at))
            trace.lasting(pid, number, "inner", (times[number // 2], at))
        trace.end(track, times[-1] + 1.0)

    written(draw, min(one, two), max(one, two))


def test_a_trace_of_nothing_is_a_trace() -> None:
    parts: list[bytes] = []
    ChromeTrace(parts.append).close()
    assert json.loads(b"".join(parts)) == {"displayTimeUnit": "ms", "traceEvents": []}
