"""Loads of one node in turn: who waits how long, and what a stop in the queue does."""

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import InstanceId
from tests.sim.by_hand import Hand, shard
from tests.sim.worlds import PHASE_S, model, node, setup, world

FIRST, SECOND, THIRD = InstanceId(0), InstanceId(1), InstanceId(2)
ALONE_S = 40 / 10  # 40 bytes from the remote store


def hand() -> Hand:
    return Hand(setup([node(0, 4), node(1, 4)], [model(0)]), world(in_turn=True))


def test_a_loader_that_takes_turns_serves_the_first_at_full_speed() -> None:
    play = hand()
    starts = [
        play.start(0.0, instance, shards=(shard(0, gpu),))
        for gpu, instance in enumerate((FIRST, SECOND))
    ]
    play.play(20.0)
    first, second = (play.answer(start) for start in starts)
    assert isinstance(first, e.InstanceReady)
    assert isinstance(second, e.InstanceReady)
    assert first.load_s == pytest.approx(PHASE_S + ALONE_S)
    assert second.load_s == pytest.approx(PHASE_S + 2 * ALONE_S)
    assert dict(second.phases)["queue"] == pytest.approx(ALONE_S)
    assert sum(seconds for _, seconds in second.phases) == pytest.approx(second.load_s)
    assert "queue" not in dict(first.phases)


def test_who_stops_in_the_queue_gives_up_its_place() -> None:
    play = hand()
    starts = [
        play.start(0.0, instance, shards=(shard(0, gpu),))
        for gpu, instance in enumerate((FIRST, SECOND, THIRD))
    ]
    play.give(1.0, c.StopInstance, SECOND)
    play.play(20.0)
    last = play.answer(starts[2])
    assert isinstance(last, e.InstanceReady)
    assert last.load_s == pytest.approx(PHASE_S + 2 * ALONE_S)
