"""A queue played forward: cases that can be worked out, and where it helps and hurts."""

import random

import pytest

from fleet.domain import ArtifactId, ModelId
from policies.scaling.lookahead import Queue, QueueLookahead, quantile, waits_s
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.scaling.settings import PER_QUEUE, bursts, ramp, served, starts, system

M = ModelId(ArtifactId(0))


def test_lookahead_by_hand_who_waits_waits_for_the_load() -> None:
    """No replica, three waiting, no arrivals: with one more of two slots they start at 5 s."""
    queue = Queue(0.0, service_s=1e-9, load_s=5.0, slots=2, running=0, waiting=3)
    assert waits_s(queue, 0, 1, 100, random.Random(0)) == pytest.approx([5.0, 5.0, 5.0])
    assert waits_s(queue, 0, 0, 100, random.Random(0)) == [float("inf")]
    assert waits_s(queue, 2, 0, 100, random.Random(0)) == [0.0, 0.0, 0.0]


def test_lookahead_by_hand_orders_what_the_backlog_needs() -> None:
    scaling = QueueLookahead(wait_s=1.0, quantile=0.9)
    bench = Bench([node(0, 8)], [model(0, slots=2)])
    for _ in range(8):
        bench.ask(0)
    scaling.tick(bench.view)
    # 128 believed tokens at 0.1 s: services of 12.8 s, so that eight at once take four replicas.
    assert scaling.wanted(M, bench.view) >= 4
    assert QueueLookahead().wanted(M, bench.view) == 1, "before the first tick"


def test_the_quantile_is_a_value_that_was_seen() -> None:
    assert quantile([], 0.99) == 0.0
    assert quantile([3.0, 1.0, 2.0, 4.0], 0.5) == 3.0
    assert quantile([1.0], 0.99) == 1.0


def test_lookahead_gains_cards_between_bursts() -> None:
    gains(served(bursts()), system(QueueLookahead()), PER_QUEUE, lambda p: p.gpu_s, by=1.5)


def test_lookahead_loses_starts_to_chance() -> None:
    """A forecast from few arrivals errs both ways: it starts and stops where a queue would not."""
    loses(served(ramp()), system(QueueLookahead()), PER_QUEUE, starts, by=2.0)
