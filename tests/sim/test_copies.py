"""Copies on the tiers of nodes: fetched, dropped, and gone with what failed."""

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import ArtifactId, NodeId, Place, Tier
from sim.faults import FaultRates
from tests.sim.by_hand import Hand, place, shard
from tests.sim.worlds import PHASE_S, model, node, setup, world

SSD, DRAM = Tier.SSD, Tier.DRAM
WEIGHTS = ArtifactId(0)


def hand(faults: FaultRates = FaultRates()) -> Hand:  # noqa: B008 - frozen
    """The model's 40 bytes lie on the first node's SSD."""
    return Hand(setup([node(0), node(1)], [model(0)], (), [(0, place(0, SSD))]), world(faults))


@pytest.mark.parametrize(
    ("source", "target", "load_s"),
    [
        (place(0, SSD), place(0, DRAM), 40 / 20),
        (Place(None, Tier.REMOTE), place(1, SSD), 40 / 10),
        (place(0, SSD), place(1, DRAM), 40 / 16),
    ],
)
def test_a_fetch_goes_at_the_pace_of_its_slowest_link(
    source: Place, target: Place, load_s: float
) -> None:
    play = hand()
    fetch = play.give(1.0, c.Fetch, WEIGHTS, source, target)
    fetched = play.play(20.0).answer(fetch)
    assert isinstance(fetched, e.Fetched)
    assert fetched.load_s == pytest.approx(load_s)
    assert fetched.at == pytest.approx(1.0 + load_s)
    assert play.lying(target.node or 0, target.tier) == {0}


def test_a_fetch_that_fails_leaves_no_copy() -> None:
    play = hand(FaultRates(fetch_failure_probability=1.0))
    fetch = play.give(0.0, c.Fetch, WEIGHTS, place(0, SSD), place(0, DRAM))
    failed = play.play(20.0).answer(fetch)
    assert isinstance(failed, e.CommandFailed)
    assert play.used_bytes(0, DRAM) == 0


def test_a_full_disk_refuses_a_fetch_at_once_and_memory_knows_no_disk() -> None:
    play = hand(FaultRates(full_disk_probability=1.0))
    to_disk = play.give(1.0, c.Fetch, WEIGHTS, place(0, SSD), place(1, SSD))
    to_memory = play.give(1.0, c.Fetch, WEIGHTS, place(0, SSD), place(1, DRAM))
    play.play(20.0)
    failed = play.answer(to_disk)
    assert isinstance(failed, e.CommandFailed)
    assert (failed.at, failed.reason) == (1.0, "disk_full")
    assert isinstance(play.answer(to_memory), e.Fetched)


@pytest.mark.parametrize("lost_at", [0.25, PHASE_S + 1.0])
def test_a_load_whose_source_node_is_lost_fails(lost_at: float) -> None:
    """Before its bytes began to move, or while they do."""
    play = hand()
    start = play.start(0.0, shards=(shard(1),), source=place(0, SSD), keep=(DRAM,))
    play.lose_node(lost_at, 0)
    play.play(20.0)
    failed = play.answer(start)
    assert isinstance(failed, e.CommandFailed)
    assert failed.reason == "source_lost"
    assert failed.at == pytest.approx(max(lost_at, PHASE_S))
    assert play.held_bytes(1) == [0, 0]
    assert play.used_bytes(1, DRAM) == 0


def test_a_fetch_to_a_lost_node_is_answered_by_its_loss() -> None:
    play = hand()
    fetch = play.give(0.0, c.Fetch, WEIGHTS, place(0, SSD), place(1, DRAM))
    play.lose_node(1.0, 1)
    play.play(20.0)
    assert play.answer(fetch) is None
    assert [event.node for event in play.heard(e.NodeLost)] == [NodeId(1)]


def test_a_dropped_copy_is_gone() -> None:
    play = hand()
    drop = play.give(1.0, c.Drop, WEIGHTS, place(0, SSD))
    play.play(20.0)
    assert isinstance(play.answer(drop), e.Dropped)
    assert play.used_bytes(0, SSD) == 0


def test_a_load_from_a_copy_that_is_not_there_fails_the_run() -> None:
    play = hand()
    play.start(0.0, source=place(0, DRAM))
    with pytest.raises(AssertionError, match="no copy of 0 in DRAM"):
        play.play(20.0)
