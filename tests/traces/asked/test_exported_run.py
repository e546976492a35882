"""Whole runs as Chrome traces: by the format's rules, complete, and cut where asked."""

import json
from collections import Counter
from typing import Any

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.journal import Entry, Header, decode
from tests.journaled import journal
from tests.traces.chrome_rules import check
from traces.asked.chrome_trace import ChromeTrace
from traces.asked.exported_run import ExportedRun
from traces.collector import record_of


def exported(
    header: Header, entries: list[Entry], since: float = 0.0, until: float = 1e9
) -> list[dict[str, Any]]:
    parts: list[bytes] = []
    trace = ChromeTrace(parts.append, since, until)
    ExportedRun(trace, header).read(entries)
    trace.close()
    return check(b"".join(parts))


def run(seed: int) -> tuple[Header, list[Entry]]:
    header, entries = decode(journal(seed))
    return header, list(entries)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_run_with_every_trouble_keeps_the_rules_of_the_format(seed: int) -> None:
    header, entries = run(seed)
    events = exported(header, entries)
    phases = Counter(event["ph"] for event in events)
    assert set(phases) == {"M", "X", "b", "e", "s", "f", "i", "C"}


@pytest.mark.parametrize(("since", "until"), [(50.0, 120.0), (0.0, 30.0), (120.0, 1e9)])
def test_a_window_keeps_the_rules_and_shows_nothing_outside(since: float, until: float) -> None:
    header, entries = run(2)
    events = exported(header, entries, since, until)
    for event in events:
        if "ts" in event:
            assert since * 1e6 <= event["ts"]
            assert event["ts"] + event.get("dur", 0.0) <= until * 1e6 + 1000.0
    whole = sum("ts" in event for event in exported(header, entries))
    assert 0 < sum("ts" in event for event in events) < whole


def test_every_request_is_shown_from_its_arrival_to_its_end() -> None:
    header, entries = run(3)
    events = exported(header, entries)
    pairs = [(entry.event, entry.commands) for entry in entries]
    requests = record_of(pairs, header.setup.nodes, header.setup.models).requests
    outer = {
        event["args"]["request"]: event["ts"]
        for event in events
        if event["ph"] == "b" and "request" in event["args"]
    }
    for number, at in zip(requests.id.tolist(), requests.arrived_at.tolist(), strict=True):
        assert outer[number] == pytest.approx(at * 1e6, abs=1e-3)
    assert len(outer) == len(requests)


def test_every_dispatch_and_every_move_is_an_arrow() -> None:
    header, entries = run(4)
    events = exported(header, entries)
    commands = [command for entry in entries for command in entry.commands]
    dispatched = sum(isinstance(command, c.Dispatch) for command in commands)
    arrows = Counter(event["cat"] for event in events if event["ph"] == "s")
    moved = sum(isinstance(entry.event, e.Migrated) for entry in entries)
    assert arrows == {"dispatch": dispatched, "migration": moved}


def test_counters_end_where_the_run_does() -> None:
    header, entries = run(1)
    events = exported(header, entries)
    last = {event["name"]: event["args"]["value"] for event in events if event["ph"] == "C"}
    assert (last["requests waiting"], last["requests running"]) == (0, 0)
    most = sum(node.gpus for node in header.setup.nodes)
    free = [event["args"]["value"] for event in events if event.get("name") == "GPUs free"]
    assert max(free) <= most + sum(
        entry.event.node.gpus for entry in entries if isinstance(entry.event, e.NodeJoined)
    )


def test_faults_are_moments() -> None:
    header, entries = run(1)
    events = exported(header, entries)
    moments = Counter(event["name"] for event in events if event["ph"] == "i")
    lost = sum(isinstance(entry.event, e.NodeLost) for entry in entries)
    assert moments["node lost"] == lost
    assert lost > 0


def test_the_trace_is_written_as_it_is_read() -> None:
    """No more than what is open is kept: the file grows with every entry, not at the end."""
    header, entries = run(1)
    sizes: list[int] = []
    written = 0

    def write(part: bytes) -> None:
        nonlocal written
        written += len(part)

    def reading() -> Any:
        for entry in entries:
            sizes.append(written)
            yield entry

    trace = ChromeTrace(write)
    ExportedRun(trace, header).read(reading())
    trace.close()
    assert sizes[len(sizes) // 2] > 0.3 * written


def test_the_same_journal_is_the_same_trace() -> None:
    header, entries = run(2)
    assert json.dumps(exported(header, entries)) == json.dumps(exported(header, entries))
