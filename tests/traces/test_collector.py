"""From events and commands to a record."""

import sys

import numpy as np
import pytest

from fleet import commands as c
from fleet import events as e
from fleet import gaps
from fleet.domain import AdapterId, ArtifactId, CommandId, InstanceId, NodeId, RequestId, Tier
from tests.traces.runs import (
    Story,
    finish,
    node,
    on,
    ready,
    request,
    send,
    shard,
    start,
    two_request_story,
)
from traces.collector import Recorder
from traces.record import Cold, LoadEnd, MoveEnd, Outcome, Source


def attach(command: int, instance: int, lora: int) -> c.AttachAdapter:
    adapter = AdapterId(ArtifactId(lora))
    return c.AttachAdapter(CommandId(command), InstanceId(instance), adapter, on(0, Tier.DRAM))


def attached(at: float, command: int, instance: int, lora: int, load_s: float) -> e.AdapterAttached:
    adapter = AdapterId(ArtifactId(lora))
    return e.AdapterAttached(at, CommandId(command), InstanceId(instance), adapter, load_s)


def cancel(command: int, number: int, reason: str) -> c.Cancel:
    return c.Cancel(CommandId(command), RequestId(number), reason)


def test_the_request_that_started_a_load_is_cold_and_the_next_is_warm() -> None:
    record = two_request_story().record()
    requests = record.requests
    assert requests.cold.tolist() == [Cold.COLD, Cold.WARM]
    assert requests.source.tolist() == [Source.REMOTE, -1]
    assert requests.load_wait_s.tolist() == [4.0, 0.0]
    assert requests.load.tolist() == [0, -1]
    assert requests.first_token_at.tolist() == [5.5, 7.5]
    assert requests.outcome.tolist() == [Outcome.FINISHED, Outcome.FINISHED]
    assert sum(gaps.counts(record.gaps)) == 10 + 20
    assert record.ended_at == 8.5


def test_a_load_keeps_its_times_bytes_and_phases() -> None:
    record = two_request_story().record()
    (load,) = record.loads
    assert (load.started_at, load.ready_at, load.load_s) == (1.0, 5.0, 4.0)
    assert load.weight_bytes == 12_000_000_000
    assert record.phase_s == {Source.REMOTE: {"weights": 3.0, "graphs": 1.0}}
    assert load.end is LoadEnd.OPEN


def test_a_request_that_joins_a_load_under_way_waits_only_for_the_rest_of_it() -> None:
    story = Story().arrive(request(0, 1.0), start(10, 0)).arrive(request(1, 4.5))
    story.tell(ready(5.0, 10, 0, 4.0), send(11, 0, 0), send(12, 1, 0))
    assert story.record().requests.load_wait_s.tolist() == [4.0, 0.5]


def test_the_instance_of_the_last_dispatch_decides_what_was_cold() -> None:
    story = Story().tick(0.0, start(10, 0)).tell(ready(1.0, 10, 0, 1.0))
    story.arrive(request(0, 2.0), send(11, 0, 0))
    story.tell(e.InstanceLost(3.0, InstanceId(0), "crash"), start(12, 1, on(0, Tier.SSD)))
    story.tell(ready(6.0, 12, 1, 3.0), send(13, 0, 1)).tell(finish(0, 1, 6.0, 6.5, 7.0, 2))
    record = story.record()
    assert record.requests.cold.tolist() == [Cold.COLD]
    assert record.requests.source.tolist() == [Source.SSD]
    assert [load.end for load in record.loads] == [LoadEnd.LOST, LoadEnd.OPEN]


def test_a_load_after_the_first_token_does_not_make_a_request_cold() -> None:
    story = Story().tick(0.0, start(10, 0)).tell(ready(1.0, 10, 0, 1.0))
    story.arrive(request(0, 2.0), send(11, 0, 0), start(12, 1))
    story.tell(ready(5.0, 12, 1, 3.0))
    story.tell(e.Preempted(6.0, CommandId(11), RequestId(0), 5), send(13, 0, 1))
    story.tell(finish(0, 1, 2.0, 2.5, 9.0, 20))
    record = story.record()
    assert record.requests.cold.tolist() == [Cold.WARM]
    assert record.requests.preemptions.tolist() == [1]


def test_waking_a_sleeping_instance_is_a_load() -> None:
    story = Story().tick(0.0, start(10, 0)).tell(ready(1.0, 10, 0, 1.0))
    story.tell(e.Slept(4.0, CommandId(11), InstanceId(0)))
    story.arrive(request(0, 6.0), c.Wake(CommandId(12), InstanceId(0), on(0, Tier.DRAM)))
    story.tell(e.Awake(6.5, CommandId(12), InstanceId(0), 0.5), send(13, 0, 0))
    story.tell(finish(0, 0, 6.5, 7.0, 8.0, 2))
    record = story.record()
    assert [(load.wakes, load.end) for load in record.loads] == [
        (False, LoadEnd.SLEPT),
        (True, LoadEnd.OPEN),
    ]
    assert record.requests.cold.tolist() == [Cold.COLD]
    assert record.requests.source.tolist() == [Source.DRAM]


def test_an_attach_that_ends_after_arrival_makes_a_request_adapter_cold() -> None:
    story = Story().tick(0.0, start(10, 0)).tell(ready(1.0, 10, 0, 1.0))
    story.arrive(request(0, 2.0, lora=50), attach(11, 0, 50))
    story.tell(attached(2.25, 11, 0, 50, 0.25), send(12, 0, 0))
    story.arrive(request(1, 3.0, lora=50), send(13, 1, 0)).arrive(request(2, 3.0), send(14, 2, 0))
    requests = story.record().requests
    assert requests.cold.tolist() == [Cold.ADAPTER_COLD, Cold.WARM, Cold.WARM]
    assert requests.load_wait_s.tolist() == [0.25, 0.0, 0.0]
    assert requests.source.tolist() == [Source.DRAM, -1, -1]


def test_an_adapter_attached_elsewhere_is_no_excuse() -> None:
    story = Story().tick(0.0, start(10, 0), start(11, 1))
    story.tell(ready(1.0, 10, 0, 1.0)).tell(ready(1.0, 11, 1, 1.0))
    story.arrive(request(0, 2.0, lora=50), attach(12, 1, 50), send(13, 0, 0))
    story.tell(attached(2.5, 12, 1, 50, 0.5))
    assert story.record().requests.cold.tolist() == [Cold.WARM]


@pytest.mark.parametrize(
    ("reason", "deadline_at", "outcome"),
    [
        ("queue full", None, Outcome.REJECTED),
        ("timeout", None, Outcome.TIMED_OUT),
        ("too late", 4.0, Outcome.REJECTED),
        ("queue full", 9.0, Outcome.REJECTED),
    ],
)
def test_a_refusal_is_a_time_out_by_its_reason_not_by_its_deadline(
    reason: str, deadline_at: float | None, outcome: Outcome
) -> None:
    story = Story().arrive(request(0, 1.0, deadline_at=deadline_at))
    story.tick(5.0, c.Reject(CommandId(9), RequestId(0), reason))
    requests = story.record().requests
    assert requests.outcome.tolist() == [outcome]
    assert requests.ended_at.tolist() == [5.0]


def test_ends_other_than_finishing_are_told_apart() -> None:
    story = Story()
    for number in range(6):
        story.arrive(request(number, float(number)), send(20 + number, number, 0))
    story.tell(e.RequestAbandoned(10.0, RequestId(0)), cancel(30, 0, "client gone"))
    story.tell(e.RequestFailed(10.5, CommandId(20), RequestId(0), "cancelled"))
    story.tell(e.RequestFailed(11.0, CommandId(21), RequestId(1), "out of memory"))
    story.tell(e.RequestFailed(12.0, CommandId(22), RequestId(2), "crash"))
    story.tick(13.0, send(31, 2, 0), cancel(32, 3, "timeout"), cancel(33, 4, "lost"))
    expected = [
        Outcome.ABANDONED,
        Outcome.FAILED,
        Outcome.UNFINISHED,  # dispatched again
        Outcome.TIMED_OUT,
        Outcome.FAILED,
        Outcome.UNFINISHED,
    ]
    assert story.record().requests.outcome.tolist() == expected


def test_a_finish_before_the_client_went_stays_a_finish() -> None:
    story = two_request_story().tell(e.RequestAbandoned(9.0, RequestId(1)))
    assert story.record().requests.outcome.tolist() == [Outcome.FINISHED, Outcome.FINISHED]


def test_losing_a_node_ends_its_instances_and_its_time() -> None:
    story = Story().tick(0.0, start(10, 0), start(11, 1, shards=(shard(1),)))
    story.tell(e.NodeJoined(2.0, node(2))).tell(e.NodeLost(3.0, NodeId(1))).tick(9.0)
    record = story.record()
    assert [load.end for load in record.loads] == [LoadEnd.OPEN, LoadEnd.NODE_LOST]
    assert record.nodes_seen_s == {0: (0.0, 9.0), 1: (0.0, 3.0), 2: (2.0, 9.0)}


def test_a_load_from_another_node_comes_from_a_peer_and_of_shards_the_slowest_counts() -> None:
    pair = (shard(0), shard(1))
    story = Story().tick(0.0, start(10, 0, on(0, Tier.DRAM)), start(11, 1, on(1, Tier.DRAM)))
    story.tick(1.0, start(12, 2, on(0, Tier.DRAM), pair))
    sources = [load.source for load in story.record().loads]
    assert sources == [Source.DRAM, Source.PEER, Source.PEER]


def test_migrations_end_moved_failed_or_overtaken() -> None:
    story = Story()
    for number in range(4):
        story.arrive(request(number, 1.0), send(20 + number, number, 0))
    moves = [
        c.Migrate(CommandId(30 + n), RequestId(n), InstanceId(0), InstanceId(1), c.By.TOKENS)
        for n in range(4)
    ]
    story.tick(2.0, *moves).tell(e.Migrated(4.0, CommandId(30), RequestId(0), 0.125, 7, 3))
    story.tell(e.CommandFailed(4.5, CommandId(31), "no slot"))
    story.tell(finish(2, 0, 1.0, 1.5, 5.0, 9))
    record = story.record()
    assert record.moves["outcome"].tolist() == [
        MoveEnd.MOVED,
        MoveEnd.FAILED,
        MoveEnd.OVERTAKEN,
        MoveEnd.OPEN,
    ]
    assert record.moves["pause_s"][0] == 0.125
    assert record.requests.migrations.tolist() == [1, 0, 0, 0]


def test_copies_and_drops_are_counted_where_they_happened() -> None:
    target = on(0, Tier.DRAM)
    story = Story().tick(0.0, c.Fetch(CommandId(1), ArtifactId(0), on(0, Tier.SSD), target))
    story.tell(e.Fetched(2.0, CommandId(1), ArtifactId(0), 2.0))
    story.tell(e.Dropped(3.0, CommandId(2), ArtifactId(0), target))
    copies = story.record().copies
    assert copies.fetches == {"ssd": 1}
    assert copies.fetched_bytes == {"ssd": 12_000_000_000}
    assert copies.drops == {"dram": 1}


def test_ids_with_gaps_and_ends_of_unknown_requests_are_harmless() -> None:
    story = Story().arrive(request(700, 1.0), send(1, 700, 0)).arrive(request(90, 2.0))
    story.tell(finish(5, 0, 1.0, 1.5, 2.0, 3)).tell(finish(700, 0, 1.0, 1.5, 2.0, 3))
    requests = story.record().requests
    assert requests.id.tolist() == [700, 90]
    assert requests.outcome.tolist() == [Outcome.FINISHED, Outcome.UNFINISHED]


def test_a_failed_start_never_counts_as_ready() -> None:
    story = Story().tick(0.0, start(10, 0)).tell(e.CommandFailed(2.0, CommandId(10), "disk"))
    story.tell(ready(3.0, 10, 0, 3.0))
    (load,) = story.record().loads
    assert (load.end, load.ready_at, load.ended_at) == (LoadEnd.FAILED, None, 2.0)


def test_a_stop_while_loading_wins_over_a_late_ready() -> None:
    story = Story().tick(0.0, start(10, 0))
    story.tell(e.InstanceStopped(2.0, CommandId(11), InstanceId(0))).tell(ready(3.0, 10, 0, 3.0))
    (load,) = story.record().loads
    assert (load.end, load.ready_at) == (LoadEnd.STOPPED, None)


def test_a_record_read_twice_is_the_same() -> None:
    recorder = Recorder()
    for event, commands in two_request_story().pairs:
        recorder.observe(event, commands)
    first, second = recorder.record().requests, recorder.record().requests
    assert all(
        np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True)
        for name in first.__slots__
    )


def test_an_empty_run_has_an_empty_record() -> None:
    record = Story().record()
    assert len(record.requests) == 0
    assert record.ended_at == 0.0


def test_a_request_costs_less_than_300_bytes() -> None:
    recorder = Recorder()
    n = 20_000
    for number in range(n):
        at = float(number)
        recorder.observe(e.RequestArrived(at, request(number, at)), [send(1, number, 0)])
        recorder.observe(finish(number, 0, at, at + 0.1, at + 1.0, 11), ())
    record = recorder.record()
    assert recorder.nbytes / n < 150
    assert record.requests.nbytes / n < 150
    logs = [kept for kept in vars(recorder).values() if isinstance(kept, list | dict)]
    assert sum(sys.getsizeof(kept) for kept in logs) < n
