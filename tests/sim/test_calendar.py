"""One calendar: arrivals, engines' wake-ups and SimPy's events in one order of time."""

import math
from collections.abc import Iterator

import pytest
from simpy.core import EmptySchedule

from fleet.domain import InstanceId, RequestId
from sim.calendar import Arrival, Calendar
from sim.pace import EnginePace
from sim.served import Served
from tests.sim.worlds import arrival, but, follow, model

PACE = EnginePace(step_s=1.0)


class Log:
    """What a calendar processed, with the time it showed then."""

    def __init__(self) -> None:
        self.calendar = Calendar()
        self.calendar.on_arrival = self._arrived
        self.calendar.on_wake = self._woken
        self.seen: list[tuple[str, float]] = []

    def _arrived(self, arrived: Arrival) -> None:
        self.seen.append((f"arrival {arrived.request.id}", self.calendar.now))

    def _woken(self, engine: Served, at: float) -> None:
        assert at == self.calendar.now
        self.seen.append((f"engine {engine.instance}", at))

    def note(self, what: str, at: float) -> None:
        self.calendar.at(at, lambda: self.seen.append((what, self.calendar.now)))

    def run(self, until: float) -> list[tuple[str, float]]:
        self.calendar.run(until=until)
        return self.seen


def engine(number: int, next_at: float) -> Served:
    made = Served(InstanceId(number), model(), (), PACE, 10, None)
    made.next_at = next_at
    return made


def test_at_one_moment_engines_come_first_then_the_world_then_the_next_arrival() -> None:
    log = Log()
    log.calendar.feed([arrival(0, 1.0), arrival(1, 1.0)])
    log.note("world", 1.0)
    log.calendar.arm(engine(5, 1.0))
    assert log.run(2.0) == [
        ("engine 5", 1.0),
        ("world", 1.0),
        ("arrival 0", 1.0),
        ("arrival 1", 1.0),
    ]


def test_what_is_planned_for_one_moment_happens_in_the_order_it_was_planned() -> None:
    log = Log()
    for what in ("a", "b", "c"):
        log.note(what, 3.0)
    assert [what for what, _ in log.run(4.0)] == ["a", "b", "c"]


def test_a_moment_is_exact() -> None:
    """A delay that leads to it need not be, in floating point."""
    assert 0.8 + (3.9 - 0.8) != 3.9
    log = Log()
    log.calendar.at(0.8, lambda: log.note("exact", 3.9))
    assert log.run(5.0) == [("exact", 3.9)]


def test_an_engine_armed_again_is_woken_once_at_its_last_time() -> None:
    log = Log()
    one = engine(1, 5.0)
    log.calendar.arm(one)
    one.next_at = 2.0
    log.calendar.arm(one)
    one.next_at = 3.0
    log.calendar.arm(one)
    assert log.run(10.0) == [("engine 1", 3.0)]
    assert log.calendar.armed == 3


def test_an_engine_at_rest_is_not_woken() -> None:
    log = Log()
    one = engine(1, 5.0)
    log.calendar.arm(one)
    one.next_at = math.inf
    log.calendar.arm(one)
    assert log.run(10.0) == []


def test_arrivals_are_read_one_at_a_time() -> None:
    read = []

    def workload() -> Iterator[Arrival]:
        for number in range(5):
            read.append(number)
            yield arrival(number, float(number))

    log = Log()
    log.calendar.feed(workload())
    log.calendar.run(until=1.5)
    assert read == [0, 1, 2]
    assert not log.calendar.arrivals_over
    log.calendar.run(until=9.0)
    assert log.calendar.arrivals_over


def test_arrivals_out_of_order_are_refused() -> None:
    log = Log()
    log.calendar.feed([arrival(0, 2.0), arrival(1, 1.0)])
    with pytest.raises(AssertionError, match="sort the workload"):
        log.calendar.run(until=5.0)


def test_peek_is_the_next_of_any_kind_and_an_empty_calendar_says_so() -> None:
    log = Log()
    assert log.calendar.peek() == math.inf
    with pytest.raises(EmptySchedule):
        log.calendar.step()
    log.note("world", 4.0)
    log.calendar.feed([arrival(0, 3.0)])
    assert log.calendar.peek() == 3.0
    log.calendar.arm(engine(1, 2.0))
    assert log.calendar.peek() == 2.0


def test_what_follows_a_request_comes_when_its_client_has_thought() -> None:
    log = Log()
    log.calendar.feed([arrival(0, 1.0), follow(arrival(1, 0.0), 0, 2.5), arrival(2, 9.0)])
    log.calendar.at(4.0, lambda: log.calendar.ended(0))
    assert log.run(20.0) == [("arrival 0", 1.0), ("arrival 1", 6.5), ("arrival 2", 9.0)]


def test_a_request_that_ends_twice_is_followed_once() -> None:
    log = Log()
    log.calendar.feed([arrival(0, 1.0), follow(arrival(1, 0.0), 0, 2.0)])
    for at in (3.0, 4.0):
        log.calendar.at(at, lambda: log.calendar.ended(0))
    assert log.run(20.0) == [("arrival 0", 1.0), ("arrival 1", 5.0)]


def test_arrivals_are_over_when_nobody_waits_or_thinks() -> None:
    log = Log()
    calendar = log.calendar
    calendar.feed([arrival(0, 1.0), follow(arrival(1, 0.0), 0, 2.0)])
    assert (calendar.waits, calendar.arrivals_over) == (False, False)
    log.run(3.0)
    assert (calendar.waits, calendar.arrivals_over) == (True, False)
    calendar.ended(0)
    assert (calendar.waits, calendar.arrivals_over) == (False, False)
    log.run(6.0)
    assert (calendar.waits, calendar.arrivals_over) == (True, True)


def test_a_deadline_moves_with_the_moment_a_request_is_sent() -> None:
    one = Arrival(but(arrival(1, 100.0).request, deadline_at=110.0), 4, RequestId(0), 2.0)
    sent = one.sent(7.0)
    assert (sent.request.arrived_at, sent.request.deadline_at) == (7.0, 17.0)
    assert (sent.after, sent.output_tokens) == (None, 4)


def test_one_request_is_followed_by_one() -> None:
    both = [follow(arrival(number, 0.0), 0, 1.0) for number in (1, 2)]
    log = Log()
    log.calendar.feed([arrival(0, 1.0), *both])
    with pytest.raises(AssertionError, match="two requests follow request 0"):
        log.run(2.0)
