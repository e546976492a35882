"""Accesses of caches, from events and commands told one by one."""

from msgspec import structs

from fleet import commands as c
from fleet import events as e
from fleet.controller import Setup
from fleet.domain import (
    REMOTE,
    AdapterId,
    ArtifactId,
    CommandId,
    InstanceId,
    ModelSpec,
    NodeId,
    Place,
    Shard,
    Tier,
)
from tests.traces.runs import Story, adapter, model, node, on, ready, request, send, start
from traces.bounds.accesses import AccessLog, Kind, Pool

SSD, DRAM = Tier.SSD, Tier.DRAM
LORA = AdapterId(ArtifactId(50))
MODEL_BYTES, LORA_BYTES = 12_000_000_000, 10**8


def setup(*resident: tuple[int, Place]) -> Setup:
    models: list[ModelSpec] = [structs.replace(model(n), max_adapters=2) for n in (0, 1)]
    lying = tuple((ArtifactId(artifact), place) for artifact, place in resident)
    return Setup((node(0), node(1)), tuple(models), (adapter(50, 0), adapter(51, 0)), lying)


def log_of(story: Story, *resident: tuple[int, Place]) -> AccessLog:
    log = AccessLog(setup(*resident))
    for event, commands in story.pairs:
        log.observe(event, commands)
    return log


def seen(log: AccessLog, kind: Kind, which: int = 0) -> list[tuple[int, bool]]:
    """Artifact and whether it hit, of one pool of a kind."""
    pool = [pool for pool in log.pools if pool.kind == kind][which]
    pool.in_order()
    return list(zip(pool.objects, pool.hits, strict=True))


def costs(pool: Pool) -> list[int]:
    pool.in_order()
    return pool.costs_bytes


def test_a_load_asks_dram_first_and_the_ssd_only_if_it_missed() -> None:
    story = Story()
    for number, source in enumerate([REMOTE, on(0, SSD), on(0, DRAM), on(1, DRAM)]):
        story.tick(float(number), start(number, number, source))
        story.tell(ready(number + 0.5, number, number, 0.5))
    log = log_of(story)
    assert seen(log, "dram") == [(0, False), (0, False), (0, True), (0, False)]
    assert seen(log, "ssd") == [(0, False), (0, True), (0, False)]
    assert seen(log, "dram", 1) == []  # a copy read by another node is no access


def test_accesses_are_in_order_of_command_and_only_of_what_was_done() -> None:
    story = Story().tick(0.0, start(1, 0, base=0), start(2, 1, base=1), start(3, 2, base=0))
    story.tell(e.CommandFailed(1.0, CommandId(3), "load_failed"))
    story.tell(ready(2.0, 2, 1, 2.0)).tell(ready(3.0, 1, 0, 3.0))
    assert seen(log_of(story), "dram") == [(0, False), (1, False)]


def test_what_lay_there_at_the_start_is_said() -> None:
    log = log_of(Story(), (0, on(0, SSD)), (50, on(1, DRAM)), (1, REMOTE))
    assert [pool.initial for pool in log.pools] == [{0}, set(), set(), {50}]
    assert {(pool.kind, pool.capacity) for pool in log.pools} == {
        ("ssd", 2 << 40),
        ("dram", 256 << 30),
    }


def test_an_adapter_is_loaded_into_a_slot_and_used_by_each_dispatch() -> None:
    story = Story().tick(0.0, start(1, 0)).tell(ready(1.0, 1, 0, 1.0))
    attach = c.AttachAdapter(CommandId(2), InstanceId(0), LORA, on(0, SSD))
    story.arrive(request(0, 2.0, lora=50), attach)
    story.tell(e.AdapterAttached(2.5, CommandId(2), InstanceId(0), LORA, 0.5), send(3, 0, 0))
    story.arrive(request(1, 3.0, lora=50), send(4, 1, 0)).arrive(request(2, 3.0), send(5, 2, 0))
    log = log_of(story)
    assert seen(log, "slots") == [(50, False), (50, True), (50, True)]
    assert seen(log, "ssd") == [(0, False), (50, True)]
    slots = log.pools[-1]
    assert (slots.capacity, slots.sizes, costs(slots)) == (2, [1, 1, 1], [LORA_BYTES] * 3)
    assert not slots.in_order().bypass


def test_a_prefetch_brings_a_copy_in_and_reads_the_tier_below() -> None:
    story = Story()
    up = c.Fetch(CommandId(1), ArtifactId(0), on(0, SSD), on(0, DRAM))
    back = c.Fetch(CommandId(2), ArtifactId(1), on(0, DRAM), on(0, SSD))
    story.tick(0.0, up, back)
    story.tell(e.Fetched(1.0, CommandId(1), ArtifactId(0), 1.0))
    story.tell(e.Fetched(2.0, CommandId(2), ArtifactId(1), 2.0))
    log = log_of(story)
    assert seen(log, "dram") == [(0, False)]
    assert seen(log, "ssd") == [(0, True), (1, False)]
    assert costs(log.pools[0]) == [MODEL_BYTES, 0]  # written back, from nowhere slower


def test_sleep_leaves_weights_in_dram_for_nothing_and_empties_the_slots() -> None:
    story = Story().tick(0.0, start(1, 0)).tell(ready(1.0, 1, 0, 1.0))
    attach = c.AttachAdapter(CommandId(2), InstanceId(0), LORA, REMOTE)
    attached = e.AdapterAttached(2.5, CommandId(2), InstanceId(0), LORA, 0.5)
    story.tick(2.0, attach).tell(attached, c.Sleep(CommandId(3), InstanceId(0), 1))
    story.tell(e.Slept(3.0, CommandId(3), InstanceId(0)))
    story.tick(4.0, c.Wake(CommandId(4), InstanceId(0), on(0, DRAM)))
    story.tell(e.Awake(5.0, CommandId(4), InstanceId(0), 1.0))
    again = structs.replace(attach, id=CommandId(5))
    story.tick(6.0, again).tell(structs.replace(attached, at=6.5, command=CommandId(5)))
    log = log_of(story)
    assert seen(log, "dram") == [(0, False), (50, False), (0, False), (0, True), (50, False)]
    assert costs(log.pools[1]) == [MODEL_BYTES, LORA_BYTES, 0, MODEL_BYTES, LORA_BYTES]
    assert [seen(log, "slots", which) for which in (0, 1)] == [[(50, False)]] * 2


def test_a_node_that_joins_brings_its_copies_and_a_new_artifact_its_places() -> None:
    story = Story().tell(e.NodeJoined(1.0, node(2), ((ArtifactId(0), SSD),)))
    story.tell(e.ArtifactAdded(2.0, adapter(52, 0), (on(2, DRAM), REMOTE)))
    log = log_of(story)
    assert seen(log, "ssd", 2) == [(0, False)]
    assert seen(log, "dram", 2) == [(52, False)]
    assert costs(log.pools[-1]) == costs(log.pools[-2]) == [0]


def test_both_nodes_of_a_pipeline_are_asked() -> None:
    story = Story()
    from_both = structs.replace(
        start(1, 0), shards=(shard_on(0), shard_on(1)), sources=(on(0, DRAM), REMOTE)
    )
    story.tick(0.0, from_both).tell(ready(1.0, 1, 0, 1.0))
    log = log_of(story)
    assert [seen(log, "dram", which) for which in (0, 1)] == [[(0, True)], [(0, False)]]


def shard_on(number: int) -> Shard:
    return Shard(NodeId(number), (0,), 16 << 30)
