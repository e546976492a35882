"""A run as spans on cards."""

from itertools import pairwise

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import CommandId, InstanceId, RequestId
from tests.traces.runs import Story, finish, ready, request, send, shard, start, two_request_story
from tests.traces.small_cloud import SmallCloud
from traces.timeline import Span, Timeline, timeline_of


def of_kind(timeline: Timeline, kind: str) -> list[tuple[float, float]]:
    return [(span.since, span.until) for span in timeline.spans if span.kind == kind]


def test_an_instance_loads_then_serves_and_idles_between() -> None:
    timeline = timeline_of(two_request_story().record())
    assert of_kind(timeline, "loading") == [(1.0, 5.0)]
    assert of_kind(timeline, "idle") == [(5.0, 8.5)]
    assert of_kind(timeline, "serving") == [(5.0, 6.5), (7.25, 8.5)]
    assert timeline.cards == ((0, 0), (0, 1), (1, 0), (1, 1))


def test_requests_that_overlap_are_one_serving() -> None:
    story = Story().tick(0.0, start(1, 0)).tell(ready(1.0, 1, 0, 1.0))
    story.arrive(request(0, 2.0), send(2, 0, 0)).arrive(request(1, 3.0), send(3, 1, 0))
    story.tell(finish(0, 0, 2.0, 2.5, 5.0, 9)).tell(finish(1, 0, 3.0, 3.5, 6.0, 9))
    assert of_kind(timeline_of(story.record()), "serving") == [(2.0, 6.0)]


def test_a_request_that_moved_was_served_on_both_cards() -> None:
    story = Story().tick(0.0, start(1, 0), start(2, 1, shards=(shard(1),)))
    story.tell(ready(1.0, 1, 0, 1.0)).tell(ready(1.0, 2, 1, 1.0))
    move = c.Migrate(CommandId(9), RequestId(0), InstanceId(0), InstanceId(1), c.By.TOKENS)
    story.arrive(request(0, 2.0), send(3, 0, 0)).tick(3.0, move)
    story.tell(e.Migrated(4.0, CommandId(9), RequestId(0), 0.1, 5, 1))
    story.tell(finish(0, 1, 2.0, 2.5, 6.0, 9)).tick(10.0)
    timeline = timeline_of(story.record())
    assert Span((0, 0), 0, "serving", 0, 2.0, 4.0) in timeline.spans
    assert Span((1, 0), 0, "serving", 0, 4.0, 6.0) in timeline.spans
    (arrow,) = timeline.arrows
    assert (arrow.source, arrow.target, arrow.at) == (((0, 0), 0), ((1, 0), 0), 4.0)


def test_instances_that_share_a_card_get_lanes_and_reuse_them() -> None:
    story = Story().tick(0.0, start(1, 0), start(2, 1))
    story.tell(e.InstanceStopped(2.0, CommandId(5), InstanceId(0))).tick(3.0, start(3, 2)).tick(9.0)
    timeline = timeline_of(story.record())
    assert timeline.lanes == {(0, 0): 2}
    assert [(span.lane, span.since) for span in timeline.spans] == [(0, 0.0), (1, 0.0), (0, 3.0)]


@pytest.mark.parametrize("nodes", [3, 40])
def test_a_large_fleet_is_shown_by_some_of_its_nodes(nodes: int) -> None:
    record = SmallCloud(nodes=nodes, gpus=4).run(400, 10.0, seed=1)
    timeline = timeline_of(record, max_cards=16)
    assert len(timeline.cards) <= 16
    assert (timeline.nodes_shown, timeline.nodes) == (min(nodes, 4), nodes)
    assert {span.card for span in timeline.spans} <= set(timeline.cards)


def test_no_card_serves_two_spans_at_once_in_a_lane() -> None:
    timeline = timeline_of(SmallCloud(move_share=0.3).run(300, 1.0, seed=2))
    lanes: dict[tuple[object, int], list[Span]] = {}
    for span in timeline.spans:
        if span.kind == "serving":
            lanes.setdefault((span.card, span.lane), []).append(span)
    assert lanes
    for spans in lanes.values():
        for before, after in pairwise(sorted(spans, key=lambda span: span.since)):
            assert before.until <= after.since + 1e-9
