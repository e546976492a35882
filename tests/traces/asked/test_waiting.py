"""Spans up to the first token: parted at the engine's own times, cut where the token came."""

import pytest

from fleet.domain import CommandId, InstanceId, RequestId
from fleet.events import RequestFinished
from traces.asked.waiting import Span, Wait, totals, until_first_token

RUN = Wait.RUNNING


def finished(scheduled_at: float, first_token_at: float) -> RequestFinished:
    about = CommandId(0), RequestId(0), InstanceId(7)
    return RequestFinished(20.0, *about, scheduled_at, first_token_at, 20.0, 4, 0, 0.1)


def parts(spans: list[Span], end: RequestFinished | None) -> list[tuple[Wait, float, float]]:
    return [(span.wait, span.begin, span.end) for span in until_first_token(spans, end)]


def test_a_stay_on_an_instance_is_parted_into_batch_and_prefill() -> None:
    spans = [Span(0.0, 4.0, Wait.ROOM), Span(4.0, 20.0, RUN, 7)]
    assert parts(spans, finished(5.0, 6.0)) == [
        (Wait.ROOM, 0.0, 4.0),
        (Wait.ENGINE, 4.0, 5.0),
        (Wait.PREFILL, 5.0, 6.0),
    ]


def test_what_ran_before_it_was_scheduled_for_good_was_lost() -> None:
    spans = [Span(0.0, 3.0, RUN, 1), Span(3.0, 5.0, Wait.SLOT), Span(5.0, 20.0, RUN, 7)]
    assert parts(spans, finished(5.0, 6.0)) == [
        (Wait.LOST, 0.0, 3.0),
        (Wait.SLOT, 3.0, 5.0),
        (Wait.PREFILL, 5.0, 6.0),
    ]


def test_a_prefill_that_was_interrupted_goes_on() -> None:
    spans = [Span(0.0, 3.0, RUN, 1), Span(3.0, 5.0, Wait.SLOT), Span(5.0, 20.0, RUN, 7)]
    assert parts(spans, finished(1.0, 6.0)) == [
        (Wait.ENGINE, 0.0, 1.0),
        (Wait.PREFILL, 1.0, 3.0),
        (Wait.SLOT, 3.0, 5.0),
        (Wait.PREFILL, 5.0, 6.0),
    ]


def test_what_came_after_the_first_token_is_no_wait_for_it() -> None:
    spans = [Span(0.0, 8.0, RUN, 1), Span(8.0, 9.0, Wait.SLOT), Span(9.0, 20.0, RUN, 7)]
    assert parts(spans, finished(0.0, 2.0)) == [(Wait.PREFILL, 0.0, 2.0)]


def test_without_an_end_everything_stays() -> None:
    spans = [Span(0.0, 3.0, Wait.ROOM), Span(3.0, 9.0, RUN, 1)]
    assert until_first_token(spans, None) == spans


def test_totals_are_by_what_was_waited_for_longest_first() -> None:
    spans = [Span(0.0, 1.0, Wait.SLOT), Span(1.0, 4.0, Wait.ROOM), Span(4.0, 4.5, Wait.SLOT)]
    assert list(totals(spans).items()) == [(Wait.ROOM, 3.0), (Wait.SLOT, pytest.approx(1.5))]
