"""Migrations, caches and adapters of a run, against hand-worked cases."""

import pytest
from msgspec import structs

from fleet import commands as c
from fleet import events as e
from fleet.domain import AdapterId, ArtifactId, CommandId, InstanceId, RequestId, Tier
from tests.traces.runs import Story, finish, on, ready, request, send, start
from traces.metrics import summarise
from traces.summary import Slo, Summary


def summary_of(story: Story) -> Summary:
    return summarise(story.record(), Slo(1.0, 0.1))


def attach(story: Story, at: float, command: int, instance: int, lora: int) -> None:
    """From DRAM, in a quarter of a second."""
    adapter = AdapterId(ArtifactId(lora))
    place = on(0, Tier.DRAM)
    story.tick(at, c.AttachAdapter(CommandId(command), InstanceId(instance), adapter, place))
    answer = e.AdapterAttached(at + 0.25, CommandId(command), InstanceId(instance), adapter, 0.25)
    story.tell(answer)


def test_hits_are_loads_from_the_node_itself_by_count_and_by_bytes() -> None:
    story = Story()
    sources = [on(0, Tier.DRAM), on(0, Tier.SSD), on(1, Tier.DRAM)]
    for number, place in enumerate(sources):
        story.tick(0.0, start(number, number, place))
        story.tell(ready(2.0, number, number, 2.0))
    story.tick(3.0, start(3, 3)).tell(e.CommandFailed(4.0, CommandId(3), "disk full"))
    summary = summary_of(story)
    models = summary.caches.models
    assert models.loads == {"ssd": 1, "peer": 1, "dram": 1}
    assert models.hit_ratio == pytest.approx(2 / 3)
    assert models.byte_hit_ratio == pytest.approx(2 / 3)
    assert models.load_bytes["dram"] == 12_000_000_000
    assert summary.cold.loads_failed == 1
    assert summary.caches.adapters.hit_ratio is None


def test_churn_is_drops_a_minute_of_the_span() -> None:
    story = Story().arrive(request(0, 0.0), send(1, 0, 0)).tell(finish(0, 0, 0.0, 1.0, 30.0, 5))
    for _ in range(3):
        story.tell(e.Dropped(31.0, CommandId(2), ArtifactId(0), on(0, Tier.DRAM)))
    assert summary_of(story).caches.drops_per_min == {"dram": 6.0}


def test_migrations_report_pauses_and_aborts() -> None:
    story = Story()
    for number in range(3):
        story.arrive(request(number, 0.0), send(10 + number, number, 0))
        ids = (RequestId(number), InstanceId(0), InstanceId(1))
        story.tick(1.0, c.Migrate(CommandId(20 + number), *ids, c.By.KV))
    story.tell(e.Migrated(3.0, CommandId(20), RequestId(0), 0.1, 1000, 2))
    story.tell(e.Migrated(4.0, CommandId(21), RequestId(1), 0.3, 500, 4))
    story.tell(e.CommandFailed(5.0, CommandId(22), "target lost"))
    moves = summary_of(story).migrations
    assert (moves.moved, moves.failed, moves.bytes_moved) == (2, 1, 1500)
    assert moves.abort_ratio == pytest.approx(1 / 3)
    assert moves.pause_s is not None
    assert moves.pause_s.max == 0.3
    assert moves.pause_s.p50 == pytest.approx(0.2)
    assert moves.total_s is not None
    assert moves.total_s.max == 3.0


def test_attach_times_are_told_by_rank_and_load_skew_by_adapter() -> None:
    story = Story().tick(0.0, start(1, 0), start(2, 1))
    story.tell(ready(1.0, 1, 0, 1.0)).tell(ready(1.0, 2, 1, 1.0))
    attach(story, 2.0, 3, 0, 50)
    attach(story, 2.0, 4, 1, 50)
    attach(story, 2.0, 5, 1, 51)
    for number, instance in enumerate([0, 0, 0, 1]):
        story.arrive(request(number, 3.0, lora=50), send(6, number, instance))
    story.arrive(request(4, 3.0, lora=51), send(7, 4, 1)).arrive(request(5, 3.0))
    adapters = summary_of(story).adapters
    assert (adapters.requests, adapters.unique, adapters.attaches) == (5, 2, 3)
    assert {rank: spread.n for rank, spread in adapters.attach_s_by_rank.items()} == {
        "16": 2,
        "64": 1,
    }
    assert adapters.imbalance_mean == adapters.imbalance_max == 1.5  # 3 requests of a mean of 2
    assert adapters.cold_ratio == 0.0


def test_prefix_hits_are_cached_prompt_tokens_of_all_that_finished() -> None:
    story = Story()
    for number, cached in enumerate((0, 32)):
        asked = structs.replace(request(number, 0.0), prefix=(1, 2), block_tokens=16)
        ended = finish(number, 0, 0.0, 1.0, 2.0, 5)
        story.arrive(asked, send(1, number, 0))
        story.tell(structs.replace(ended, cached_tokens=cached))
    story.arrive(request(2, 0.0))  # does not finish
    record = story.record()
    assert record.requests.prefix_tokens.tolist() == [32, 32, 0]
    assert record.requests.cached_tokens.tolist() == [0, 32, 0]
    assert summary_of(story).caches.prefix_hit_ratio == pytest.approx(32 / 200)


def test_without_prefixes_there_is_no_hit_ratio() -> None:
    story = Story().arrive(request(0, 0.0), send(1, 0, 0)).tell(finish(0, 0, 0.0, 1.0, 2.0, 5))
    assert summary_of(story).caches.prefix_hit_ratio is None
