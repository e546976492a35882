"""Streams: what the driver knows of a request beside what its engine does."""

from fleet.domain import InstanceId, NodeId
from sim.pace import EnginePace
from sim.served import Served, Stream
from tests.sim.by_hand import shard
from tests.sim.worlds import model


def test_a_fresh_stream_has_the_same_request_and_none_of_its_past() -> None:
    old = Stream(7, 10, 20, 8, generated=5, scheduled_at=1.0, first_token_at=2.0, last_token_at=3.0)
    new = old.fresh()
    assert (new.request, new.prompt_tokens, new.output_tokens, new.rank) == (7, 10, 20, 8)
    assert new.generated == 0
    assert new.scheduled_at == 1.0
    assert new.first_token_at != new.first_token_at  # nan: it has no first token
    assert not new.over


def test_a_stream_is_over_once_its_engine_says_when_it_ended() -> None:
    stream = Stream(0, 1, 1)
    assert not stream.over
    stream.ended_at = 4.0
    assert stream.over


def test_an_engine_knows_the_nodes_of_its_shards() -> None:
    engine = Served(InstanceId(0), model(), (shard(3), shard(1)), EnginePace(1.0), 10, None)
    assert engine.node == NodeId(3)
    assert engine.nodes == (NodeId(3), NodeId(1))
