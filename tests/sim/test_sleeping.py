"""Sleep and wake at both levels, timed by hand."""

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import REMOTE, InstanceId, ModelSpec, Place, Tier, Whole
from sim.faults import FaultRates
from tests.sim.by_hand import FIRST, Hand, place, shard
from tests.sim.worlds import CARD_BYTES, NAP_S, WAKE_S, adapter, model, node, setup, world

SSD, DRAM = Tier.SSD, Tier.DRAM


def hand(spec: ModelSpec | None = None, *, cached: bool = False) -> Hand:
    resident = [(0, place(0, DRAM))] if cached else []
    play = Hand(setup([node(0), node(1)], [spec or model(0)], (), resident), world())
    return play


@pytest.mark.parametrize(
    ("level", "cached", "sleep_s", "in_memory"),
    [(1, False, NAP_S + 40 / 40, True), (1, True, NAP_S, True), (2, False, NAP_S, False)],
)
def test_level_one_writes_the_weights_to_memory_if_they_are_not_there(
    level: int, cached: bool, sleep_s: float, in_memory: bool
) -> None:
    play = hand(cached=cached)
    play.start(0.0)
    sleep = play.give(10.0, c.Sleep, FIRST, level)
    play.play(20.0)
    slept = play.answer(sleep)
    assert isinstance(slept, e.Slept)
    assert slept.at == pytest.approx(10.0 + sleep_s)
    assert (0 in play.lying(0, DRAM)) == in_memory
    assert play.held_bytes() == [0, 0]


def test_cards_of_one_instance_write_side_by_side() -> None:
    play = hand(model(0, Whole(2), weight_bytes=80))
    play.start(0.0, shards=(shard(0, 0, 1),))
    sleep = play.give(20.0, c.Sleep, FIRST, 1)
    slept = play.play(30.0).answer(sleep)
    assert slept is not None
    assert slept.at == pytest.approx(20.0 + NAP_S + 80 / (2 * 40))


@pytest.mark.parametrize(("source", "bytes_s"), [(place(0, DRAM), 40 / 40), (REMOTE, 40 / 10)])
def test_a_wake_takes_its_own_time_and_that_of_the_weights(source: Place, bytes_s: float) -> None:
    play = hand(cached=True)
    play.start(0.0)
    play.give(10.0, c.Sleep, FIRST, 1)
    wake = play.give(12.0, c.Wake, FIRST, source)
    awake = play.play(20.0).answer(wake)
    assert isinstance(awake, e.Awake)
    assert awake.load_s == pytest.approx(WAKE_S + bytes_s)
    assert play.held_bytes() == [CARD_BYTES, 0]


def test_every_stage_of_a_pipeline_wakes() -> None:
    """Each node brings its half of 80 bytes over its own NIC."""
    play = hand(model(0, stages=2, weight_bytes=80))
    play.start(0.0, shards=(shard(0), shard(1)))
    play.give(10.0, c.Sleep, FIRST, 2)
    wake = play.give(12.0, c.Wake, FIRST, REMOTE)
    awake = play.play(30.0).answer(wake)
    assert isinstance(awake, e.Awake)
    assert awake.load_s == pytest.approx(WAKE_S + 40 / 10)


def test_a_wake_that_fails_leaves_it_asleep() -> None:
    play = hand(cached=True)
    play.start(0.0)
    play.give(10.0, c.Sleep, FIRST, 1)
    play.at(11.0, lambda: fail_loads(play))
    wake = play.give(12.0, c.Wake, FIRST, place(0, DRAM))
    stop = play.give(15.0, c.StopInstance, FIRST)
    play.play(20.0)
    assert isinstance(play.answer(wake), e.CommandFailed)
    assert isinstance(play.answer(stop), e.InstanceStopped)
    assert play.held_bytes() == [0, 0]


def fail_loads(play: Hand) -> None:
    """From here on every load breaks off."""
    play.cluster.faults.rates = FaultRates(load_failure_probability=1.0)


def test_cards_of_a_sleeper_serve_another() -> None:
    play = hand()
    play.start(0.0)
    play.give(10.0, c.Sleep, FIRST, 2)
    other = play.start(12.0, InstanceId(9), shards=(shard(0, 0),))
    assert isinstance(play.play(30.0).answer(other), e.InstanceReady)


def test_a_node_lost_on_the_way_to_sleep_leaves_no_half_written_copy() -> None:
    """A pipeline writes to its first node's memory; the other node is lost meanwhile."""
    play = hand(model(0, stages=2, weight_bytes=80))
    play.start(0.0, shards=(shard(0), shard(1)))
    sleep = play.give(10.0, c.Sleep, FIRST, 1)
    play.lose_node(10.5, 1)
    play.play(30.0)
    assert play.answer(sleep) is None
    assert play.used_bytes(0, DRAM) == 0
    assert play.held_bytes() == [0, 0]


def test_a_sleeper_gives_up_its_adapters_with_its_cards() -> None:
    one = model(0, adapters=1)
    play = Hand(setup([node(0)], [one], [adapter(7), adapter(8)]), world())
    play.start(0.0)
    play.attach(6.0, 7)
    play.give(10.0, c.Sleep, FIRST, 2)
    play.give(12.0, c.Wake, FIRST, REMOTE)
    other = play.attach(20.0, 8)
    assert isinstance(play.play(30.0).answer(other), e.AdapterAttached)
