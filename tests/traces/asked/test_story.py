"""What a journal says of single requests: where they went, who was slowest, who is not there."""

import pytest

from fleet.commands import Dispatch
from tests.sim.worlds import adapter, arrival, model, node, setup
from tests.traces.explained import explained, journaled, played
from traces.asked.story import UnknownRequestError, slowest, stories_of
from traces.collector import record_of
from traces.record import RunRecord

START = setup([node(0)], [model(0), model(1)], [adapter(10)])


def record() -> RunRecord:
    entries = played(START, "serverlessllm", [arrival(i, float(i), model=i % 2) for i in range(6)])
    pairs = ((entry.event, entry.commands) for entry in entries)
    return record_of(pairs, START.nodes, START.models)


def test_a_story_has_every_dispatch_and_the_last_line_about_a_request() -> None:
    _, _, entries = journaled(5)
    ids = range(150)
    stories = stories_of(entries, ids)
    dispatches = [
        (int(command.request), int(command.instance))
        for entry in entries
        for command in entry.commands
        if isinstance(command, Dispatch)
    ]
    for number in ids:
        own = [instance for request, instance in dispatches if request == number]
        assert stories[number].dispatched_to == own
        assert stories[number].dispatched_at == sorted(stories[number].dispatched_at)
        assert stories[number].over
        about = [
            line
            for line, entry in enumerate(entries, 2)
            if getattr(entry.event, "request", None) == number
            or any(getattr(command, "request", None) == number for command in entry.commands)
        ]
        assert stories[number].last_line == max(about)


def test_an_unknown_request_is_told_which_there_are() -> None:
    entries = played(START, "serverlessllm", [arrival(3, 0.0), arrival(8, 1.0)])
    with pytest.raises(UnknownRequestError, match=r"request 4 is not .* its 2 requests are 3 to 8"):
        stories_of(entries, [3, 4])
    with pytest.raises(UnknownRequestError, match="it has none"):
        stories_of([], [0])


def test_the_slowest_are_those_with_the_longest_time_to_the_first_token() -> None:
    entries = played(START, "serverlessllm", [arrival(i, float(i), model=i % 2) for i in range(6)])
    times = {n: one.ttft_s or 0.0 for n, one in explained(START, "serverlessllm", entries).items()}
    assert slowest(record(), 3) == sorted(times, key=lambda n: -times[n])[:3]
    assert slowest(record(), 99, "m1") == sorted((1, 3, 5), key=lambda n: -times[n])


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownRequestError, match="--model 'm7' is none of the journal's: m0, m1"):
        slowest(record(), 1, "m7")
    nobody = record_of([], START.nodes, START.models)
    with pytest.raises(UnknownRequestError, match="no request of model 'm1' finished"):
        slowest(nobody, 1, "m1")
