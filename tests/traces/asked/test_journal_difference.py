"""What tells two journals apart, on journals made by hand."""

import msgspec
import pytest

from fleet.commands import Dispatch, SetTimer
from fleet.controller import Setup
from fleet.domain import CommandId, InstanceId, Request, RequestId
from fleet.events import RequestArrived, RequestFinished
from fleet.journal import Entry, Header, encode, first_difference
from tests.sim.worlds import model, node
from traces.asked.journal_difference import Counted, header_differences, paired, parting, tallies

HEADER = Header(Setup((node(0),), (model(0),), seed=3), {"placement": {"name": "random"}})


def arrived(number: int, at: float) -> Entry:
    request = Request(RequestId(number), model(0).id, None, at, 5, 10)
    return Entry(RequestArrived(at, request), ())


def finished(number: int, arrived_at: float, ttft_s: float) -> Entry:
    first = arrived_at + ttft_s
    about = CommandId(number), RequestId(number), InstanceId(0)
    return Entry(RequestFinished(first + 1, *about, arrived_at, first, first + 1, 4, 0, 0.1), ())


def journal(*ttfts_s: float | None) -> list[Entry]:
    """Requests that arrive a second apart; those without a time never finish."""
    arrivals = [arrived(i, float(i)) for i in range(len(ttfts_s))]
    ends = [finished(i, float(i), ttft) for i, ttft in enumerate(ttfts_s) if ttft is not None]
    return [*arrivals, *sorted(ends, key=lambda entry: entry.event.at)]


def test_headers_are_compared_field_by_field() -> None:
    other = msgspec.structs.replace(
        HEADER,
        setup=msgspec.structs.replace(HEADER.setup, seed=4, nodes=(node(0), node(1))),
        policy={"placement": {"name": "earliest_ready", "shortlist": 8}},
    )
    found = {d.path: (d.left, d.right) for d in header_differences(HEADER, other)}
    assert found == {
        "setup.nodes": ("1 entries", "2 entries"),
        "setup.seed": ("3", "4"),
        "policy.placement.name": ('"random"', '"earliest_ready"'),
        "policy.placement.shortlist": ("(absent)", "8"),
    }
    assert header_differences(HEADER, HEADER) == []


def test_requests_are_paired_by_their_time_to_the_first_token() -> None:
    ours, theirs = journal(1.0, 2.0, 3.0, None, 5.0, None), journal(1.0, 1.5, 9.0, 4.0, None, None)
    found = paired(Counted(HEADER).read(ours), Counted(HEADER).read(theirs))
    assert found is not None
    assert (found.same, found.better, found.worse) == (1, 1, 1)
    assert (found.gained, found.lost, found.neither) == (1, 1, 1)
    assert found.mean_change_s == pytest.approx((0.0 - 0.5 + 6.0) / 3)
    assert [mover.request for mover in found.movers] == [2, 1]


def test_other_requests_are_not_paired() -> None:
    ours, theirs = journal(1.0, 2.0), journal(1.0, 2.0, 3.0)
    assert paired(Counted(HEADER).read(ours), Counted(HEADER).read(theirs)) is None


def test_kinds_are_counted_on_both_sides() -> None:
    ours, theirs = Counted(HEADER), Counted(HEADER)
    ours.read(journal(1.0, 2.0))
    theirs.read(
        [*journal(1.0, None), Entry(arrived(2, 9.0).event, (SetTimer(CommandId(9), "age", 1.0),))]
    )
    counts = {one.kind: (one.left, one.right) for one in tallies(ours.events, theirs.events)}
    assert counts == {"RequestArrived": (2, 3), "RequestFinished": (2, 1)}
    assert [one.kind for one in tallies(ours.commands, theirs.commands)] == ["SetTimer"]


def test_a_parting_says_whether_the_event_or_only_its_commands_differ() -> None:
    event = arrived(0, 2.5).event
    dispatched = encode(event, [Dispatch(CommandId(1), RequestId(0), InstanceId(0))])
    later = encode(arrived(1, 2.5).event, [])
    for right, what in ((encode(event, []), "commands"), (later, "event")):
        found = first_difference([dispatched], [right])
        assert found is not None
        said = parting(found)
        assert (said.line, said.what, said.at) == (1, what, 2.5)
    ended = first_difference([dispatched], [])
    assert ended is not None
    assert (parting(ended).what, parting(ended).event) == ("end", "RequestArrived")
