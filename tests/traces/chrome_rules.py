"""The documented rules of Chrome's Trace Event Format, checked on a whole trace."""

import json
from collections import defaultdict
from typing import Any

#: The fields that each phase of an event must have, beside `ph` and `pid`.
NEEDED = {
    "M": {"name", "args"},
    "X": {"name", "ts", "dur", "tid"},
    "b": {"name", "cat", "id2", "ts"},
    "e": {"name", "cat", "id2", "ts"},
    "s": {"name", "cat", "id", "ts", "tid"},
    "f": {"name", "cat", "id", "ts", "tid", "bp"},
    "i": {"name", "ts", "s"},
    "C": {"name", "ts", "args"},
}
Slices = dict[int, list[tuple[float, float]]]


def loaded(text: bytes) -> list[dict[str, Any]]:
    """The events of a trace, each with the fields that its phase needs."""
    trace = json.loads(text)
    assert set(trace) == {"displayTimeUnit", "traceEvents"}
    events: list[dict[str, Any]] = trace["traceEvents"]
    for event in events:
        assert {"ph", "pid"} | NEEDED[event["ph"]] <= set(event), event
        assert event.get("ts", 0.0) >= 0.0
        assert event.get("dur", 0.0) >= 0.0
    return events


def check(text: bytes) -> list[dict[str, Any]]:
    """Raises AssertionError for the first rule that is broken; returns the events."""
    events = loaded(text)
    check_names(events)
    slices = thread_slices(events)
    for spans in slices.values():
        check_nesting(spans)
    check_lasting(events)
    check_flows(events, slices)
    for event in events:
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
            assert all(value >= 0 for value in event["args"].values()), event
    return events


def check_names(events: list[dict[str, Any]]) -> None:
    """Every process and thread has a name, said once; a thread belongs to one process."""
    named = [
        (event["pid"], event.get("tid"))
        for event in events
        if event["ph"] == "M" and event["name"] in ("process_name", "thread_name")
    ]
    assert len(named) == len(set(named))
    used = {(e["pid"], e.get("tid")) for e in events if e["ph"] != "M"}
    used |= {(pid, None) for pid, _ in used}
    assert used <= set(named)
    threads = [tid for _, tid in named if tid is not None]
    assert len(threads) == len(set(threads))
    assert not {pid for pid, _ in named} & set(threads)


def thread_slices(events: list[dict[str, Any]]) -> Slices:
    """Slices by thread. None lasts no time: importers sort by time and part ties as they like."""
    slices: Slices = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            assert event["dur"] > 0, event
            slices[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    return slices


def check_nesting(spans: list[tuple[float, float]]) -> None:
    """Two slices of a thread lie within or beside one another."""
    around: list[float] = []
    for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        while around and around[-1] <= begin + 1e-6:
            around.pop()
        assert not around or end <= around[-1] + 1e-3
        around.append(end)


def check_lasting(events: list[dict[str, Any]]) -> None:
    """Asynchronous slices of one id nest, like brackets, in the order of their times."""
    by_id: dict[tuple[int, str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] in "be":
            by_id[event["pid"], event["cat"], event["id2"]["local"]].append(event)
    for own in by_id.values():
        spans, begun = [], []
        for event in own:
            if event["ph"] == "b":
                begun.append(event)
            else:
                assert begun[-1]["name"] == event["name"]
                spans.append((begun.pop()["ts"], event["ts"]))
        assert not begun
        assert all(begin < end for begin, end in spans)
        check_nesting(spans)


def check_flows(events: list[dict[str, Any]], slices: Slices) -> None:
    """An arrow has one beginning and one end, in this order, each within a slice.

    Perfetto lets it point from the slice that begins first, so that must be where it begins.
    """
    starts = {(e["cat"], e["id"]): e for e in events if e["ph"] == "s"}
    ends = {(e["cat"], e["id"]): e for e in events if e["ph"] == "f"}
    assert starts.keys() == ends.keys()
    assert len(starts) == sum(event["ph"] == "s" for event in events)
    for key, start in starts.items():
        assert start["ts"] < ends[key]["ts"]
        begins = [
            max(span[0] for span in slices[event["tid"]] if span[0] < event["ts"] < span[1])
            for event in (start, ends[key])
        ]
        assert begins[0] < begins[1], start
