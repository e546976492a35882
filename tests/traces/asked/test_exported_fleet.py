"""Instances and loads as tracks: the phases of a life, cards given back, lanes side by side."""

from typing import Any

from fleet.domain import Part, Place, Tier
from fleet.journal import Entry, Header
from tests.sim.worlds import arrival, model, node, setup
from tests.traces.chrome_rules import check
from tests.traces.explained import played
from traces.asked.chrome_trace import ChromeTrace
from traces.asked.exported_run import ExportedRun

SLEEPER = {
    "recipe": "serverlessllm",
    "keep_alive": {"name": "fixed", "keep_alive_s": 1.0, "sleep_level": 1, "asleep_s": 5.0},
}


def events_of(header: Header, entries: list[Entry]) -> list[dict[str, Any]]:
    parts: list[bytes] = []
    trace = ChromeTrace(parts.append)
    ExportedRun(trace, header).read(entries)
    trace.close()
    return check(b"".join(parts))


def threads(events: list[dict[str, Any]]) -> dict[int, str]:
    """Names of threads, by id."""
    named = [event for event in events if event.get("name") == "thread_name"]
    return {event["tid"]: event["args"]["name"] for event in named}


def test_an_instance_goes_through_the_phases_of_its_life() -> None:
    """It loads, serves, goes idle, sleeps, and stops."""
    start = setup([node(0)], [model(0)], resident=[(0, Place(node(0).id, Tier.SSD))])
    entries = played(start, SLEEPER, [arrival(0, 1.0), arrival(1, 20.0)])
    events = events_of(Header(start, {}), entries)
    phases = [event["name"] for event in events if event.get("name", "").startswith("m0 #")]
    assert phases[:5] == [
        "m0 #0: loading",
        "m0 #0: ready, busy",
        "m0 #0: ready, idle",
        "m0 #0: going to sleep",
        "m0 #0: sleeping",
    ]
    assert phases[-1] == "m0 #0: stopping" or "m0 #1: loading" in phases
    asleep = next(event for event in events if event.get("name") == "m0 #0: sleeping")
    assert threads(events)[asleep["tid"]] == "GPU 0 asleep"
    free = [event["args"]["value"] for event in events if event.get("name") == "GPUs free"]
    assert (min(free), max(free)) == (1, 2)


def test_a_load_stands_on_the_track_of_the_tier_it_came_from() -> None:
    start = setup([node(0)], [model(0), model(1)], resident=[(0, Place(node(0).id, Tier.SSD))])
    entries = played(start, "serverlessllm", [arrival(0, 1.0), arrival(1, 1.0, model=1)])
    events = events_of(Header(start, {}), entries)
    names = threads(events)
    loads = {
        event["name"]: (names[event["tid"]], event["args"]["bytes"])
        for event in events
        if event["ph"] == "X" and event["name"].startswith("load ")
    }
    assert loads == {
        "load m0 #0": ("loads from SSD", 40),
        "load m1 #1": ("loads from the remote store", 40),
    }


def test_instances_that_share_a_card_stand_side_by_side() -> None:
    start = setup([node(0, 1)], [model(0, Part(30), weight_bytes=20),
                                 model(1, Part(30), weight_bytes=20)])  # fmt: skip
    entries = played(start, "serverlessllm", [arrival(0, 1.0), arrival(1, 1.0, model=1)])
    events = events_of(Header(start, {}), entries)
    assert {"GPU 0", "GPU 0 (2)"} <= set(threads(events).values())
    free = [event["args"]["value"] for event in events if event.get("name") == "GPUs free"]
    assert min(free) == 0
