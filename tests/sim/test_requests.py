"""Requests in the driver: dispatched, cancelled, preempted with each way to keep what it had.

A step takes 0.25 s and a prompt token 0.125 s more: a request of 8 prompt tokens dispatched at 10.0
has its first token at 11.25 and 5 at 12.3.
"""

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import InstanceId, RequestId
from sim.calendar import Arrival
from sim.faults import FaultRates
from tests.sim.by_hand import FIRST, REQUEST, SECOND, Hand, shard
from tests.sim.worlds import arrival, but, model, node, setup, world


def hand(kv_blocks: int | None = 100, slots: int = 2) -> Hand:
    one = model(kv_bytes_per_token=1, slots=slots)
    play = Hand(setup([node(0), node(1)], [one]), world(kv_blocks=kv_blocks))
    play.start(0.0, FIRST, shards=(shard(0),))
    play.start(0.0, SECOND, shards=(shard(1),))
    return play


def end(play: Hand) -> e.RequestFinished:
    (finished,) = play.heard(e.RequestFinished)
    return finished


def test_a_request_runs_from_its_dispatch() -> None:
    play = hand()
    order = play.dispatch(10.0)
    play.play(50.0, [arrival(0, 1.0, 20)])
    assert play.answer(order) is end(play)
    assert end(play).scheduled_at == 10.0
    assert end(play).first_token_at == pytest.approx(11.25)
    assert end(play).ended_at == pytest.approx(11.25 + 19 * 0.25)
    assert end(play).at == pytest.approx(end(play).ended_at)


def test_a_client_s_limit_on_tokens_ends_a_request() -> None:
    short = Arrival(but(arrival(0, 1.0).request, max_tokens=3), 20)
    play = hand()
    play.dispatch(10.0)
    play.play(50.0, [short])
    assert end(play).tokens == 3


def test_a_request_larger_than_the_kv_cache_fails() -> None:
    play = hand(kv_blocks=1)
    order = play.dispatch(10.0)
    play.play(50.0, [arrival(0, 1.0, 20)])
    failed = play.answer(order)
    assert isinstance(failed, e.RequestFailed)
    assert failed.reason == "does_not_fit"


def test_a_cancel_frees_the_slot_and_repeats_its_reason() -> None:
    play = hand(slots=1)
    order = play.dispatch(10.0)
    play.dispatch(11.5, 1)
    play.give(12.3, c.Cancel, REQUEST, "abandoned")
    play.play(50.0, [arrival(0, 1.0, 20), arrival(1, 1.0, 4)])
    failed = play.answer(order)
    assert isinstance(failed, e.RequestFailed)
    assert (failed.at, failed.reason) == (12.3, "abandoned")
    assert end(play).request == RequestId(1)
    assert end(play).scheduled_at == 12.5  # when the iteration in progress ended


def test_a_cancel_of_a_request_that_has_ended_is_answered_by_its_end() -> None:
    play = hand()
    play.dispatch(10.0)
    cancel = play.give(20.0, c.Cancel, REQUEST, "abandoned")
    play.play(50.0, [arrival(0, 1.0, 20)])
    assert play.answer(cancel) is None
    assert not play.heard(e.RequestFailed)
    assert end(play).tokens == 20


@pytest.mark.parametrize(
    ("keep", "kept", "resumes_at"),
    [
        (c.Keep.NOTHING, 0, 20.0 + 0.25 + 8 * 0.125),
        (c.Keep.TOKENS, 5, 20.0 + 0.25 + 13 * 0.125),
        (c.Keep.KV, 5, 20.0 + 12 / 40 + 0.25),
    ],
)
def test_what_a_preempted_request_kept_is_not_made_again(
    keep: c.Keep, kept: int, resumes_at: float
) -> None:
    """Its next token: all over, after a prefill of 13, or after 12 tokens' KV came back."""
    play = hand()
    play.dispatch(10.0)
    order = play.give(12.3, c.Preempt, REQUEST, keep)
    play.dispatch(20.0)
    play.play(50.0, [arrival(0, 1.0, 20)])
    (preempted,) = play.heard(e.Preempted)
    assert play.answer(order) is None  # it carries the dispatch's id
    assert preempted.tokens_kept == kept
    assert preempted.at == pytest.approx(12.3 + (12 / 40 if keep is c.Keep.KV else 0.0))
    assert end(play).tokens == 20
    assert end(play).ended_at == pytest.approx(resumes_at + (20 - kept - 1) * 0.25)


def test_kv_kept_on_one_node_is_of_no_use_on_another() -> None:
    play = hand()
    play.dispatch(10.0)
    play.give(12.3, c.Preempt, REQUEST, c.Keep.KV)
    play.dispatch(20.0, 0, SECOND)
    play.play(50.0, [arrival(0, 1.0, 20)])
    assert end(play).ended_at == pytest.approx(20.0 + 0.25 + 13 * 0.125 + 14 * 0.25)


def test_kv_on_its_way_out_dies_with_its_engine() -> None:
    play = hand()
    play.dispatch(10.0)
    play.give(12.3, c.Preempt, REQUEST, c.Keep.KV)
    play.crash(12.4)
    play.dispatch(20.0, 0, SECOND)
    play.play(50.0, [arrival(0, 1.0, 20)])
    assert not play.heard(e.Preempted)
    assert end(play).ended_at == pytest.approx(20.0 + 0.25 + 13 * 0.125 + 14 * 0.25)


def test_a_cancel_while_kv_comes_back_ends_the_request_there() -> None:
    play = hand()
    play.dispatch(10.0)
    play.give(12.3, c.Preempt, REQUEST, c.Keep.KV)
    play.dispatch(20.0)
    play.give(20.1, c.Cancel, REQUEST, "abandoned")
    play.play(50.0, [arrival(0, 1.0, 20)])
    (failed,) = play.heard(e.RequestFailed)
    assert failed.at == pytest.approx(20.0 + 12 / 40)
    assert not play.heard(e.RequestFinished)


def test_a_crash_keeps_the_tokens_that_were_streamed() -> None:
    play = hand()
    play.dispatch(10.0)
    play.crash(12.3)
    play.dispatch(20.0, 0, SECOND)
    play.play(50.0, [arrival(0, 1.0, 20)])
    assert end(play).tokens == 20
    assert end(play).first_token_at == pytest.approx(11.25)
    assert end(play).ended_at == pytest.approx(20.0 + 0.25 + 13 * 0.125 + 14 * 0.25)
    assert end(play).longest_gap_s == pytest.approx(20.0 + 0.25 + 13 * 0.125 - 12.25)


def test_a_preemption_that_a_loss_overtook_does_not_come_back_later() -> None:
    """Told of after the crash, which is heard of 5 s late; then it moves, and only that."""
    third = InstanceId(2)
    play = Hand(
        setup([node(0), node(1)], [model(kv_bytes_per_token=1)]),
        world(FaultRates(late_report_probability=1.0, late_report_s=5.0), kv_blocks=100),
    )
    play.start(0.0, FIRST, shards=(shard(0),))
    play.start(0.0, SECOND, shards=(shard(1),))
    play.start(0.0, third, shards=(shard(1, 1),))
    play.dispatch(10.0)
    play.crash(12.3)
    play.give(12.4, c.Preempt, REQUEST, c.Keep.TOKENS)
    play.dispatch(20.0, 0, SECOND)
    move = play.give(23.0, c.Migrate, REQUEST, SECOND, third, c.By.TOKENS)
    play.play(80.0, [arrival(0, 1.0, 40)])
    assert not play.heard(e.Preempted)
    assert isinstance(play.answer(move), e.Migrated)
    assert end(play).instance == third
