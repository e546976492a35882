"""Runs that keep up, and runs that do not."""

import numpy as np
import pytest

from fleet import commands as c
from fleet.domain import CommandId, RequestId
from tests.traces.runs import Story, finish, request, send
from traces.record import RunRecord
from traces.saturation import queue_lengths, saturation_of


def one_server(service_s: float, n: int = 300) -> RunRecord:
    """One arrival a second, served one at a time in order; the end is cut at the last arrival."""
    story = Story()
    free_at = 0.0
    ends = []
    for number in range(n):
        scheduled_at = max(free_at, float(number))
        free_at = scheduled_at + service_s
        story.arrive(request(number, float(number)))
        ends.append((number, scheduled_at, free_at))
    for number, scheduled_at, end in ends:
        story.tick(scheduled_at, send(1, number, 0))
        story.tell(finish(number, 0, scheduled_at, scheduled_at, end, 2))
    return story.record()


def test_a_server_slower_than_its_arrivals_is_saturated() -> None:
    verdict = saturation_of(one_server(1.5))
    assert verdict.saturated
    assert verdict.in_words.startswith("Saturated: the queue grew by 0.33")
    assert verdict.backlog == 100
    assert verdict.queue_growth_per_s == pytest.approx(1 - 1 / 1.5, rel=0.02)


def test_a_server_faster_than_its_arrivals_is_not() -> None:
    verdict = saturation_of(one_server(0.9))
    assert not verdict.saturated
    assert verdict.last_wait_s == 0.0


def test_refusing_late_arrivals_is_saturation_too() -> None:
    story = Story()
    for number in range(300):
        at = float(number)
        if number > 150:
            refusal = c.Reject(CommandId(1), RequestId(number), "queue full")
            story.arrive(request(number, at), refusal)
        else:
            story.arrive(request(number, at), send(1, number, 0))
            story.tell(finish(number, 0, at, at, at + 0.5, 2))
    verdict = saturation_of(story.record())
    assert verdict.saturated
    assert verdict.late_refused_ratio == 1.0
    assert "100.0% of the last third were refused" in verdict.in_words


def test_too_few_requests_say_nothing() -> None:
    assert "too few" in saturation_of(one_server(5.0, n=20)).in_words


def test_queue_lengths_count_those_in_no_batch() -> None:
    record = one_server(1.5, n=3)  # arrive 0, 1, 2; scheduled 0, 1.5, 3
    assert queue_lengths(record, np.array([0.5, 1.2, 2.5, 3.0])).tolist() == [0, 1, 1, 0]
