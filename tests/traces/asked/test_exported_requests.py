"""Requests as slices: what they waited for and what the engine did, piece by piece."""

import pytest

from fleet.domain import Place, Tier
from fleet.journal import Header
from tests.sim.worlds import arrival, model, node, setup
from tests.traces.asked.test_exported_fleet import events_of
from tests.traces.explained import explained, played
from traces.asked.waiting import Wait


def test_a_cold_request_is_queued_loaded_prefilled_and_decoded() -> None:
    start = setup([node(0)], [model(0)], resident=[(0, Place(node(0).id, Tier.SSD))])
    entries = played(start, "serverlessllm", [arrival(0, 1.0, 4)])
    begun = {}
    pieces = []
    for event in events_of(Header(start, {}), entries):
        if event["ph"] == "b":
            begun[event["name"]] = event["ts"]
        elif event["ph"] == "e":
            pieces.append((event["name"], (event["ts"] - begun[event["name"]]) / 1e6))
    names = [name for name, _ in pieces]
    assert names[:3] == ["m0", "waits for the load", "prefill"]
    assert names[3] == "decode"
    seconds = dict(pieces)
    assert seconds["waits for the load"] == pytest.approx(2.5)
    assert sum(seconds.values()) == pytest.approx(2 * seconds["m0"])


def test_pieces_agree_with_the_explanation() -> None:
    """The same waits, told by a replay and read off the journal."""
    start = setup([node(0, 1)], [model(0, slots=1)], resident=[(0, Place(node(0).id, Tier.SSD))])
    entries = played(start, "static", [arrival(0, 0.0, 8), arrival(1, 3.0)])
    found = explained(start, "static", entries)[1]
    events = [e for e in events_of(Header(start, {}), entries) if e.get("id2") == {"local": "0x1"}]
    queued = [e["ts"] / 1e6 for e in events if e.get("name") == "queued"]
    (span,) = [span for span in found.spans if span.wait is Wait.SLOT]
    assert queued == pytest.approx([span.begin, span.end])
