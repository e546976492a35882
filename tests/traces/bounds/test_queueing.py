"""Textbook queues: formulas against known values and simulated queues, and what is said of them."""

import heapq

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from fleet import commands as c
from fleet import events as e
from fleet.domain import CommandId, InstanceId
from tests.traces.runs import Story, finish, node, ready, request, send, start
from tests.traces.runs import model as spec
from traces.bounds.queueing import (
    Queue,
    dispersion_p,
    fcfs_stay_s,
    mmc_stay_s,
    ps_stay_s,
    queues_of,
)
from traces.collector import record_of
from traces.record import RunRecord

Floats = NDArray[np.float64]


def moments(n: int) -> Floats:
    return np.arange(n, dtype=np.float64)


def test_with_exponential_service_all_three_are_the_m_m_1() -> None:
    """E[S] / (1 - rho); an exponential's second moment is twice its mean squared."""
    assert ps_stay_s(0.5, 1.0) == pytest.approx(2.0)
    assert mmc_stay_s(0.5, 1.0, 1) == pytest.approx(2.0)
    exponential = -np.log1p(-(np.arange(200_000) + 0.5) / 200_000)
    assert fcfs_stay_s(0.5, exponential) == pytest.approx(2.0, rel=1e-3)


def test_known_values_of_erlang_and_pollaczek() -> None:
    """M/D/1 at 0.5 waits half as long as M/M/1; M/M/2 at a = 1 waits with probability 1/3."""
    assert fcfs_stay_s(0.5, np.ones(10)) == pytest.approx(1.5)
    assert mmc_stay_s(1.0, 1.0, 2) == pytest.approx(1 + (1 / 3) / (2 - 1))
    assert mmc_stay_s(8.0, 1.0, 10) == pytest.approx(1 + 0.4092 / 2, abs=1e-4)


def test_at_a_load_of_one_there_is_no_mean() -> None:
    assert ps_stay_s(1.0, 1.0) is None
    assert fcfs_stay_s(2.0, np.ones(5)) is None
    assert mmc_stay_s(4.0, 1.0, 4) is None


def test_poisson_arrivals_pass_the_dispersion_test_and_others_do_not() -> None:
    rng = np.random.default_rng(7)
    values = [dispersion_p(np.sort(rng.uniform(0, 500, 500)), 500.0) for _ in range(300)]
    below = np.mean([value is not None and value < 0.1 for value in values])
    assert 0.05 < below < 0.16  # a test at 10 % refuses a tenth of what is so
    even = dispersion_p(moments(500) + 0.5, 500.0)
    bursts = dispersion_p(np.repeat(moments(50) * 10, 10), 500.0)
    assert even is not None
    assert bursts is not None
    assert max(even, bursts) < 1e-6
    assert dispersion_p(moments(20), 20.0) is None


# From a record


def fcfs(arrived_at: Floats, service_s: Floats) -> tuple[Floats, Floats]:
    begins = np.empty(len(arrived_at))
    free_at = 0.0
    for at, came in enumerate(arrived_at):
        begins[at] = max(came, free_at)
        free_at = begins[at] + service_s[at]
    return begins, begins + service_s


def shared(arrived_at: Floats, service_s: Floats) -> tuple[Floats, Floats]:
    """Processor sharing, by the service that each one present has had since the start."""
    ends = np.empty(len(arrived_at))
    present: list[tuple[float, int]] = []
    now = attained_s = 0.0
    for at, came in [*enumerate(arrived_at), (-1, np.inf)]:
        while present and now + (present[0][0] - attained_s) * len(present) <= came:
            due_s, one = heapq.heappop(present)
            now += (due_s - attained_s) * (len(present) + 1)
            attained_s, ends[one] = due_s, now
        if at < 0:
            break
        attained_s += (came - now) / len(present) if present else 0.0
        now = came
        heapq.heappush(present, (attained_s + service_s[at], at))
    return arrived_at, ends


def run(arrived_at: Floats, begins: Floats, ends: Floats, seats: int) -> RunRecord:
    """One instance, ready at 1 s, with these requests of model 0."""
    story = Story().tick(0.0, start(1, 0)).tell(ready(1.0, 1, 0, 1.0))
    for number, (came, began, ended) in enumerate(zip(arrived_at, begins, ends, strict=True)):
        story.arrive(request(number, came), send(2, number, 0))
        story.tell(finish(number, 0, began, began, ended, 2))
    one = msgspec.structs.replace(spec(0), max_sequences=seats)
    return record_of(story.pairs, [node(0)], [one])


def the_queue(record: RunRecord) -> Queue:
    (queue,) = queues_of(record)
    return queue


def drawn(load: float, requests: int = 20_000) -> tuple[Floats, Floats]:
    """Poisson arrivals from 1 s on, a second apart on average; gamma service with a CV of 1/2."""
    rng = np.random.default_rng(5)
    return 1.0 + np.cumsum(rng.exponential(1.0, requests)), rng.gamma(4.0, load / 4.0, requests)


def test_a_first_come_first_served_run_stays_as_long_as_pollaczek_says() -> None:
    arrived_at, service_s = drawn(0.7)
    queue = the_queue(run(arrived_at, *fcfs(arrived_at, service_s), seats=1))
    assert queue.load == pytest.approx(0.7, rel=0.02)
    assert queue.service_s == pytest.approx(queue.demand_s, rel=0.001)
    assert queue.fcfs_stay_s == pytest.approx(queue.stay_s, rel=0.05)
    assert queue.but == ("one seat serves first come, first served: no processor sharing",)


def test_a_processor_sharing_run_stays_as_long_as_its_formula_says() -> None:
    arrived_at, service_s = drawn(0.7)
    queue = the_queue(run(arrived_at, *shared(arrived_at, service_s), seats=1000))
    assert queue.ps_stay_s == pytest.approx(queue.stay_s, rel=0.05)
    assert queue.demand_s == pytest.approx(0.7, rel=0.02)
    assert queue.fcfs_stay_s is None
    assert queue.but == ()


def test_what_does_not_hold_is_said() -> None:
    arrived_at = np.repeat(moments(20) * 10, 5) + 2
    queue = the_queue(run(arrived_at, arrived_at, arrived_at + 9.99, seats=5))
    said = " ".join(queue.but)
    for words in ("not Poisson", "ran without a pause", "all 5 seats were taken 99 %"):
        assert words in said
    assert queue.arrivals_per_s == pytest.approx(0.5, rel=0.02)


def test_only_a_model_alone_on_one_instance_counts() -> None:
    arrived_at = moments(60) + 2
    record = run(arrived_at, arrived_at, arrived_at + 0.5, seats=4)
    assert len(queues_of(record)) == 1
    story = Story().tick(0.0, start(1, 0), start(2, 1)).tell(ready(1.0, 1, 0, 1.0))
    story.tell(ready(1.0, 2, 1, 1.0))
    for number, at in enumerate(arrived_at):
        story.arrive(request(number, at), send(3, number, number % 2))
        story.tell(finish(number, number % 2, at, at, at + 0.5, 2))
    assert queues_of(story.record()) == ()


def test_a_window_ends_where_another_instance_begins() -> None:
    story = Story().tick(0.0, start(1, 0)).tell(ready(1.0, 1, 0, 1.0))
    for number in range(60):
        at = 2.0 + number
        story.arrive(request(number, at), send(2, number, 0))
        story.tell(finish(number, 0, at, at, at + 0.5, 2))
    story.tick(62.25, start(3, 1))
    story.tell(e.InstanceLost(70.0, InstanceId(0), "crash"), c.SetTimer(CommandId(4), "t", 80.0))
    queue = the_queue(story.record())
    assert queue.requests == 60
    assert queue.window_s == pytest.approx(60.5)
    assert queue.load == pytest.approx(30 / 60.5)
