"""The least that a load can take, by where its bytes could have been; 12 GB over known links.

Links of `tests.traces.runs.node`: 1 GB/s remote, 4 SSD, 20 PCIe a card, 5 from another node.
"""

import numpy as np
import pytest
from msgspec import structs

from fleet import commands as c
from fleet import events as e
from fleet.controller import Setup
from fleet.domain import REMOTE, ArtifactId, CommandId, InstanceId, NodeId, Place, Shard, Tier
from tests.traces.runs import Story, finish, model, node, on, ready, request, send, start
from traces.bounds.startup_bounds import CopiesLog, least_s_of_models, least_waits_s, start_ups
from traces.collector import record_of

SSD, DRAM = Tier.SSD, Tier.DRAM
FROM_DRAM_S, FROM_PEER_S, FROM_SSD_S, FROM_REMOTE_S = 12 / 20, 12 / 5, 12 / 4, 12.0


def setup(*resident: tuple[int, Place]) -> Setup:
    lying = tuple((ArtifactId(artifact), place) for artifact, place in resident)
    return Setup((node(0), node(1)), (model(0), model(1)), (), lying)


def log_of(story: Story, *resident: tuple[int, Place]) -> CopiesLog:
    log = CopiesLog(setup(*resident))
    for event, commands in story.pairs:
        log.observe(event, commands)
    return log


def moving_s(log: CopiesLog) -> list[object]:
    return [pytest.approx(load.moving_s) for load in log.loads.values()]


def loads(*shards: Shard, base: int = 0) -> Story:
    """One load after the other, each on one of these shards; every command says remote."""
    story = Story()
    for number, where in enumerate(shards):
        story.tick(float(number), start(number, number, shards=(where,), base=base))
        story.tell(ready(number + 0.5, number, number, 0.5))
    return story


def on_node(number: int, *gpus: int) -> Shard:
    return Shard(NodeId(number), gpus or (0,), 16 << 30)


def test_the_first_load_is_from_remote_the_next_from_memory_and_elsewhere_from_the_peer() -> None:
    log = log_of(loads(on_node(0), on_node(0), on_node(1)))
    assert moving_s(log) == [FROM_REMOTE_S, FROM_DRAM_S, FROM_PEER_S]


@pytest.mark.parametrize(
    ("lies", "seconds"),
    [(on(0, SSD), FROM_SSD_S), (on(0, DRAM), FROM_DRAM_S), (on(1, SSD), FROM_PEER_S)],
)
def test_what_lies_somewhere_at_the_start_can_be_read_there(lies: Place, seconds: float) -> None:
    assert moving_s(log_of(loads(on_node(0)), (0, lies))) == [seconds]


def test_a_prefetch_is_a_touch() -> None:
    story = Story().tick(0.0, c.Fetch(CommandId(9), ArtifactId(0), REMOTE, on(0, SSD)))
    story.pairs += loads(on_node(0)).pairs
    assert moving_s(log_of(story)) == [FROM_DRAM_S]


def test_cards_share_the_way_to_the_node_and_have_a_pcie_link_each() -> None:
    log = log_of(loads(on_node(0, 0, 1), on_node(0, 0, 1)))
    assert moving_s(log) == [FROM_REMOTE_S, FROM_DRAM_S / 2]


def test_stages_load_side_by_side() -> None:
    apart = structs.replace(
        start(1, 0), shards=(on_node(0), on_node(1)), sources=(REMOTE, on(1, DRAM))
    )
    story = Story().tick(0.0, apart).tell(ready(9.0, 1, 0, 9.0))
    # Node 0 could read its half from node 1 over the network, which has all of it.
    assert moving_s(log_of(story, (0, on(1, DRAM)))) == [FROM_PEER_S / 2]
    together = structs.replace(
        start(1, 0), shards=(on_node(0, 0), on_node(0, 1)), sources=(REMOTE, REMOTE)
    )
    story = Story().tick(0.0, together).tell(ready(9.0, 1, 0, 9.0))
    assert moving_s(log_of(story)) == [FROM_REMOTE_S]


def test_phases_count_as_they_were_and_weights_as_they_could_be() -> None:
    story = Story().tick(0.0, start(1, 0))
    story.tell(ready(20.0, 1, 0, 20.0, ("process", 2.0), ("weights", 17.0), ("graphs", 1.0)))
    story.tell(e.Slept(21.0, CommandId(2), InstanceId(0)))
    story.tick(22.0, c.Wake(CommandId(3), InstanceId(0), on(0, DRAM)))
    story.tell(e.Awake(24.0, CommandId(3), InstanceId(0), 2.0))
    log = log_of(story)
    assert [load.least_s for load in log.loads.values()] == [
        pytest.approx(3 + FROM_REMOTE_S),
        pytest.approx(FROM_DRAM_S),
    ]
    assert least_s_of_models(log) == {0: pytest.approx(FROM_DRAM_S)}


def test_cold_requests_wait_for_what_was_left_of_the_least_load() -> None:
    story = Story().arrive(request(0, 1.0), start(10, 0)).arrive(request(1, 8.0))
    story.arrive(request(2, 14.0)).tell(ready(15.0, 10, 0, 14.0, ("weights", 14.0)))
    for number in range(3):
        story.tick(15.0, send(20 + number, number, 0))
        story.tell(finish(number, 0, 15.0, 15.5, 16.0, 2))
    story.arrive(request(3, 17.0), send(30, 3, 0)).tell(finish(3, 0, 17.0, 17.5, 18.0, 2))
    start_from = setup()
    record = record_of(story.pairs, start_from.nodes, start_from.models)
    log = log_of(story)
    waits_s = least_waits_s(log, record)
    assert waits_s[:3] == pytest.approx([FROM_REMOTE_S, FROM_REMOTE_S - 7, 0.0])
    assert np.isnan(waits_s[3])  # warm
    found = start_ups(log, record)
    assert (found.cold_requests, found.loads) == (3, 1)
    assert found.ttft_s is not None
    assert found.least_ttft_s is not None
    assert found.ttft_s.max == pytest.approx(14.5)
    assert found.least_ttft_s.mean == pytest.approx((12 + 5 + 0) / 3)
