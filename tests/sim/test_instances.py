"""Loads of instances: how long each takes, by hand, and what is left when one does not end."""

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import REMOTE, NodeId, Part, Place, Shard, Tier, Whole
from sim.faults import FaultRates
from tests.sim.by_hand import FIRST, SECOND, Hand, place, shard
from tests.sim.worlds import (
    CARD_BYTES,
    PHASE_S,
    STOP_S,
    adapter,
    arrival,
    model,
    node,
    setup,
    world,
)

SSD, DRAM = Tier.SSD, Tier.DRAM
HERE = [(0, place(0, SSD)), (0, place(0, DRAM))]


def hand(
    faults: FaultRates = FaultRates(),  # noqa: B008 - frozen
    chunk_bytes: float = 1e-9,
) -> Hand:
    """Three nodes; the model's 40 bytes lie on the first one's SSD and DRAM and the second's."""
    resident = [*HERE, (0, place(1, SSD)), (0, place(1, DRAM))]
    models = [model(0), model(1, Whole(2), weight_bytes=80), model(2, stages=2, weight_bytes=80)]
    return Hand(
        setup([node(0), node(1), node(2)], models, (), resident),
        world(faults, chunk_bytes=chunk_bytes),
    )


@pytest.mark.parametrize(
    ("source", "weights_s"),
    [
        (REMOTE, 40 / 10),
        (place(0, SSD), 40 / 20),
        (place(0, DRAM), 40 / 40),
        (place(1, DRAM), 40 / 16),
        (place(1, SSD), 40 / 16),
    ],
)
def test_a_load_goes_at_the_pace_of_its_slowest_link(source: Place, weights_s: float) -> None:
    play = hand()
    start = play.start(1.0, source=source)
    play.play(20.0)
    ready = play.answer(start)
    assert isinstance(ready, e.InstanceReady)
    assert ready.load_s == pytest.approx(PHASE_S + weights_s)
    assert ready.at == pytest.approx(1.0 + ready.load_s)
    assert dict(ready.phases) == pytest.approx({"process": PHASE_S, "weights": weights_s})


def test_a_pipeline_of_two_links_fills_with_one_chunk_first() -> None:
    play = hand(chunk_bytes=4.0)
    start = play.start(source=REMOTE)
    ready = play.play(20.0).answer(start)
    assert isinstance(ready, e.InstanceReady)
    assert ready.load_s == pytest.approx(PHASE_S + (40 + 4) / 10)


def test_cards_of_one_node_share_its_nic_and_have_a_pcie_link_each() -> None:
    play = hand()
    remote = play.start(0.0, model=1, shards=(shard(0, 0, 1),))
    ready = play.play(20.0).answer(remote)
    assert isinstance(ready, e.InstanceReady)
    assert ready.load_s == pytest.approx(PHASE_S + 80 / 10)


def test_the_smallest_stage_decides_how_much_kv_cache_fits() -> None:
    """Stages of 40 and 80 bytes count as two of 40: 0.9 * 80 - 40 - 2 bytes are one block of 16."""
    halves = model(0, Part(40), weight_bytes=40, kv_bytes_per_token=1)
    play = Hand(setup([node(0), node(1)], [halves]), world())
    play.start(0.0, shards=(Shard(NodeId(0), (0,), 40), Shard(NodeId(1), (0,), 80)))
    engine = play.play(20.0).cluster.requests.engines[FIRST]
    assert engine.kv_blocks == 1


def test_stages_on_two_nodes_load_side_by_side() -> None:
    play = hand()
    start = play.start(0.0, model=2, shards=(shard(0, 0), shard(1, 1)))
    ready = play.play(20.0).answer(start)
    assert isinstance(ready, e.InstanceReady)
    assert ready.load_s == pytest.approx(PHASE_S + 40 / 10)
    assert play.held_bytes(0) == [CARD_BYTES, 0]
    assert play.held_bytes(1) == [0, CARD_BYTES]


def test_two_loads_at_once_share_the_link() -> None:
    play = hand()
    starts = [play.start(0.0, FIRST), play.start(0.0, SECOND)]
    play.play(20.0)
    for start in starts:
        ready = play.answer(start)
        assert isinstance(ready, e.InstanceReady)
        assert ready.load_s == pytest.approx(PHASE_S + 2 * 40 / 10)


def test_copies_stay_where_a_load_is_to_keep_them_and_take_their_room_from_its_start() -> None:
    play = hand()
    play.start(0.0, shards=(shard(2),), keep=(SSD, DRAM))
    seen: list[int] = []
    play.at(0.25, lambda: seen.extend([play.used_bytes(2, SSD), len(play.lying(2, SSD))]))
    play.play(20.0)
    assert seen == [40, 0]
    assert play.lying(2, SSD) == play.lying(2, DRAM) == {0}


def test_a_load_that_breaks_off_frees_its_cards_and_its_copies() -> None:
    play = hand(FaultRates(load_failure_probability=1.0))
    start = play.start(0.0, shards=(shard(2),), keep=(SSD, DRAM))
    failed = play.play(20.0).answer(start)
    assert isinstance(failed, e.CommandFailed)
    assert failed.reason == "load_failed"
    assert PHASE_S < failed.at < PHASE_S + 4.0
    assert play.held_bytes(2) == [0, 0]
    assert play.used_bytes(2, SSD) == play.used_bytes(2, DRAM) == 0


def test_a_slow_load_is_slow_in_every_phase() -> None:
    play = hand(FaultRates(slow_load_probability=1.0, slow_load_factor=3.0))
    play.start()
    ready = play.play(20.0).heard(e.InstanceReady)[0]
    assert ready.load_s == pytest.approx(3 * (PHASE_S + 4.0))
    assert dict(ready.phases) == pytest.approx({"process": 3 * PHASE_S, "weights": 12.0})


@pytest.mark.parametrize("stopped_at", [0.25, 2.0])
def test_a_stop_ends_a_load_and_nobody_hears_that_it_is_ready(stopped_at: float) -> None:
    play = hand()
    start = play.start(0.0, shards=(shard(2),), keep=(SSD, DRAM))
    stop = play.give(stopped_at, c.StopInstance, FIRST)
    play.play(20.0)
    assert play.answer(start) is None
    stopped = play.answer(stop)
    assert isinstance(stopped, e.InstanceStopped)
    assert stopped.at == pytest.approx(stopped_at + STOP_S)
    assert play.held_bytes(2) == [0, 0]
    assert play.used_bytes(2, SSD) == play.used_bytes(2, DRAM) == 0


def test_without_a_block_for_kv_an_instance_does_not_start() -> None:
    big = model(0, weight_bytes=70, kv_bytes_per_token=1)
    play = Hand(setup([node(0)], [big]), world())
    start = play.start(0.0, keep=(DRAM,))
    failed = play.play(20.0).answer(start)
    assert isinstance(failed, e.CommandFailed)
    assert failed.reason == "no_memory_for_kv"
    assert play.held_bytes() == [0, 0]
    assert play.used_bytes(0, DRAM) == 0


def test_a_crash_frees_the_cards_and_is_reported() -> None:
    play = hand()
    play.start(0.0)
    play.crash(6.0)
    lost = play.play(20.0).heard(e.InstanceLost)
    assert [(event.at, event.instance, event.reason) for event in lost] == [(6.0, FIRST, "crash")]
    assert play.held_bytes() == [0, 0]


def test_a_crash_gives_up_an_adapter_on_its_way_and_its_copy() -> None:
    play = Hand(setup([node(0)], [model(0, adapters=1)], [adapter(5)]), world())
    play.start(0.0)
    attach = play.attach(5.0, 5, keep=(DRAM,))
    play.crash(5.5)
    play.play(20.0)
    assert play.answer(attach) is None
    assert play.used_bytes(0, DRAM) == 0


def test_engines_on_parts_of_one_card_share_its_time() -> None:
    """Alone a request of 5 tokens takes 5 iterations; beside another twice as long."""
    half = model(0, Part(40), weight_bytes=20)
    play = Hand(setup([node(0, 1)], [half]), world(per_prefill_token_s=0.0))
    part = Shard(NodeId(0), (0,), 40)
    play.start(0.0, FIRST, shards=(part,))
    play.start(0.0, SECOND, shards=(part,))
    play.dispatch(10.0, 0, FIRST)
    play.dispatch(10.0, 1, SECOND)
    play.dispatch(20.0, 2, FIRST)
    play.play(30.0, [arrival(i, 1.0, 5) for i in range(3)])
    ends = [event.ended_at for event in play.heard(e.RequestFinished)]
    assert ends == pytest.approx([12.5, 12.5, 21.25])
