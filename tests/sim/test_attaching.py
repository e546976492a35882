"""Adapters into slots: from each tier, and what is left where that fails."""

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import REMOTE, AdapterId, ArtifactId, Place, Tier
from sim.faults import FaultRates
from tests.sim.by_hand import FIRST, Hand, place
from tests.sim.worlds import ATTACH_S, STOP_S, adapter, model, node, setup, world

SSD, DRAM = Tier.SSD, Tier.DRAM
LORA = AdapterId(ArtifactId(7))


def hand(faults: FaultRates = FaultRates(), slots: int = 1) -> Hand:  # noqa: B008 - frozen
    """An adapter of 10 bytes on SSD and DRAM; another in the remote store only."""
    loras = [adapter(7), adapter(8)]
    resident = [(7, place(0, SSD)), (7, place(0, DRAM))]
    play = Hand(setup([node(0)], [model(0, adapters=slots)], loras, resident), world(faults))
    play.start(0.0)
    return play


@pytest.mark.parametrize(
    ("source", "bytes_s"),
    [(REMOTE, 10 / 10), (place(0, SSD), 10 / 20), (place(0, DRAM), 10 / 40)],
)
def test_an_adapter_takes_its_attach_and_its_bytes(source: Place, bytes_s: float) -> None:
    play = hand()
    attach = play.attach(10.0, 7, source)
    attached = play.play(20.0).answer(attach)
    assert isinstance(attached, e.AdapterAttached)
    assert attached.load_s == pytest.approx(ATTACH_S + bytes_s)
    assert attached.at == pytest.approx(10.0 + attached.load_s)


def test_an_adapter_leaves_copies_on_its_way() -> None:
    play = hand()
    play.attach(10.0, 8, keep=(SSD, DRAM))
    play.play(20.0)
    assert play.lying(0, SSD) == play.lying(0, DRAM) == {7, 8}


def test_an_adapter_that_fails_to_load_gives_back_its_slot_and_its_copy() -> None:
    play = hand()
    play.at(9.0, lambda: fail_loads(play))
    attach = play.attach(10.0, 8, keep=(DRAM,))
    failed = play.play(20.0).answer(attach)
    assert isinstance(failed, e.CommandFailed)
    assert play.lying(0, DRAM) == {7}
    assert not play.cluster.instances.loaded[FIRST].adapters


def fail_loads(play: Hand) -> None:
    """From here on every load breaks off."""
    play.cluster.faults.rates = FaultRates(load_failure_probability=1.0)


def test_a_detached_adapter_makes_room_for_another() -> None:
    play = hand()
    play.attach(10.0, 7, place(0, DRAM))
    detach = play.give(12.0, c.DetachAdapter, FIRST, LORA)
    again = play.attach(13.0, 8)
    play.play(20.0)
    detached = play.answer(detach)
    assert isinstance(detached, e.AdapterDetached)
    assert detached.at == 12.0
    assert isinstance(play.answer(again), e.AdapterAttached)


def test_more_adapters_than_slots_fail_the_run() -> None:
    play = hand()
    play.attach(10.0, 7)
    play.attach(10.0, 8)
    with pytest.raises(AssertionError, match="no slot"):
        play.play(20.0)


def test_a_stop_gives_up_an_adapter_on_its_way() -> None:
    play = hand()
    attach = play.attach(10.0, 8, keep=(DRAM,))
    stop = play.give(10.5, c.StopInstance, FIRST)
    play.play(20.0)
    assert play.answer(attach) is None
    stopped = play.answer(stop)
    assert stopped is not None
    assert stopped.at == pytest.approx(10.5 + STOP_S)
    assert play.lying(0, DRAM) == {7}
