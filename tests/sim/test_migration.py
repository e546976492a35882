"""Live migrations with rounds and pauses worked out by hand, and whatever comes between.

A step takes 0.25 s and a prompt token 0.125 s more. A request of 8 prompt tokens that comes to the
first instance at 10.0 has its first token at 11.25 and one more every quarter of a second: 5 of its
20 at 12.3, when it is told to move to the second instance, on the second node.
"""

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import CommandId, LinkSpec, Tier
from sim.migration import HANDSHAKE_S
from tests.sim.by_hand import FIRST, REQUEST, SECOND, Hand, place, shard
from tests.sim.worlds import LINKS, arrival, model, node, setup, world

TOKENS = 20
STAYS_ENDS_AT = 11.25 + 19 * 0.25
MOVED_AT = 12.3
#: By tokens: 13 tokens are prefilled until then, 7 more have come.
STOPPED_AT = MOVED_AT + 0.25 + 13 * 0.125
PAUSE_S = HANDSHAKE_S + 0.25 + 7 * 0.125
LANDS_AT = STOPPED_AT + PAUSE_S
#: By KV over 16 bytes a second: 13 tokens are copied until then, 3 more have come.
KV_STOPPED_AT = MOVED_AT + 13 / 16
KV_PAUSE_S = HANDSHAKE_S + 3 / 16
KV_LANDS_AT = KV_STOPPED_AT + KV_PAUSE_S


def hand(kv_blocks: int = 100, links: LinkSpec = LINKS) -> Hand:
    nodes = [node(0, links=links), node(1, links=links)]
    play = Hand(setup(nodes, [model(kv_bytes_per_token=1)]), world(kv_blocks=kv_blocks))
    play.start(0.0, FIRST, shards=(shard(0),))
    play.start(0.0, SECOND, shards=(shard(1),))
    return play


def move(play: Hand, by: c.By, at: float = MOVED_AT) -> CommandId:
    play.dispatch(10.0)
    return play.give(at, c.Migrate, REQUEST, FIRST, SECOND, by)


def play_one(play: Hand, output_tokens: int = TOKENS, until: float = 100.0) -> None:
    """One request, and the second instance must be free of it in the end."""
    play.play(until, [arrival(0, 1.0, output_tokens)])


def end(play: Hand) -> e.RequestFinished:
    (finished,) = play.heard(e.RequestFinished)
    return finished


def assert_target_is_free(play: Hand) -> None:
    """Both seats and every KV block of the second instance can be had."""
    engine = play.cluster.requests.engines[SECOND]
    now = play.cluster.env.now
    assert len(engine) == 0
    assert engine.free_blocks(now) == engine.kv_blocks
    assert engine.reserve(now, 98, 1)
    assert engine.reserve(now, 99, 1)


def test_by_tokens_the_target_recomputes_in_rounds_and_the_pause_is_the_last_one() -> None:
    play = hand()
    order = move(play, c.By.TOKENS)
    play_one(play)
    moved = play.answer(order)
    assert isinstance(moved, e.Migrated)
    assert moved.at == pytest.approx(LANDS_AT)
    assert moved.pause_s == pytest.approx(PAUSE_S)
    assert (moved.rounds, moved.bytes_moved) == (2, 20 * 4)
    assert end(play).instance == SECOND
    assert end(play).tokens == TOKENS
    assert end(play).ended_at == pytest.approx(LANDS_AT + 8 * 0.25)
    assert end(play).longest_gap_s == pytest.approx(LANDS_AT + 0.25 - 14.0)
    assert_target_is_free(play)


def test_by_kv_blocks_are_copied_while_it_runs_and_the_pause_is_the_last_stage() -> None:
    play = hand()
    order = move(play, c.By.KV)
    play_one(play)
    moved = play.answer(order)
    assert isinstance(moved, e.Migrated)
    assert moved.at == pytest.approx(KV_LANDS_AT)
    assert moved.pause_s == pytest.approx(KV_PAUSE_S)
    assert (moved.rounds, moved.bytes_moved) == (2, 16)
    assert end(play).ended_at == pytest.approx(KV_LANDS_AT + 12 * 0.25)
    assert_target_is_free(play)


@pytest.mark.parametrize("by", c.By)
def test_a_request_that_ends_first_answers_its_migration(by: c.By) -> None:
    play = hand()
    order = move(play, by)
    play_one(play, 6)
    assert play.answer(order) is None
    assert end(play).instance == FIRST
    assert end(play).ended_at == pytest.approx(12.5)
    assert_target_is_free(play)


@pytest.mark.parametrize("by", c.By)
def test_a_source_lost_during_the_rounds_leaves_the_request_with_what_it_had(by: c.By) -> None:
    play = hand()
    order = move(play, by)
    play.crash(12.6)
    play.dispatch(15.0, 0, SECOND)
    play_one(play)
    assert play.answer(order) is None
    again_at = 15.0 + 0.25 + (8 + 6) * 0.125
    assert end(play).ended_at == pytest.approx(again_at + 13 * 0.25)
    assert_target_is_free(play)


@pytest.mark.parametrize(
    ("by", "lost_at"), [(c.By.TOKENS, STOPPED_AT + 0.1), (c.By.KV, KV_STOPPED_AT + 0.1)]
)
def test_a_source_lost_in_the_pause_leaves_the_request_to_be_placed_again(
    by: c.By, lost_at: float
) -> None:
    play = hand()
    order = move(play, by)
    play.crash(lost_at)
    play_one(play)
    assert play.answer(order) is None
    assert not play.heard(e.RequestFinished)
    assert play.cluster.requests.live[REQUEST].engine is None
    assert_target_is_free(play)


@pytest.mark.parametrize("by", c.By)
def test_a_target_lost_during_the_rounds_leaves_the_request_running(by: c.By) -> None:
    play = hand()
    order = move(play, by)
    play.crash(12.6, SECOND)
    play_one(play)
    assert play.answer(order) is None
    assert end(play).instance == FIRST
    assert end(play).ended_at == pytest.approx(STAYS_ENDS_AT)


def test_a_target_lost_in_the_pause_sends_the_request_back_to_its_source() -> None:
    play = hand()
    move(play, c.By.TOKENS)
    play.crash(STOPPED_AT + 0.1, SECOND)
    play_one(play)
    again_at = LANDS_AT + 0.25 + 20 * 0.125
    assert end(play).instance == FIRST
    assert end(play).ended_at == pytest.approx(again_at + 7 * 0.25)


def test_a_target_node_lost_while_the_last_blocks_move_sends_the_request_back() -> None:
    """The source's iteration in progress, which it still takes part in, ends at 13.25."""
    play = hand()
    move(play, c.By.KV)
    play.lose_node(13.2, 1)
    play_one(play)
    again_at = 13.25 + 0.25 + 16 * 0.125
    assert end(play).instance == FIRST
    assert end(play).ended_at == pytest.approx(again_at + 11 * 0.25)


def test_a_source_node_lost_while_blocks_move_frees_the_target() -> None:
    play = hand()
    move(play, c.By.KV)
    play.lose_node(12.5, 0)
    play_one(play)
    assert not play.heard(e.RequestFinished)
    assert_target_is_free(play)


def test_a_cancel_during_the_rounds_ends_the_request_at_once() -> None:
    play = hand()
    move(play, c.By.TOKENS)
    play.give(13.1, c.Cancel, REQUEST, "timeout")
    play_one(play)
    (failed,) = play.heard(e.RequestFailed)
    assert (failed.at, failed.reason) == (13.1, "timeout")
    assert_target_is_free(play)


def test_a_cancel_in_the_pause_ends_the_request_as_it_lands() -> None:
    play = hand()
    order = move(play, c.By.TOKENS)
    play.give(STOPPED_AT + 0.1, c.Cancel, REQUEST, "timeout")
    play_one(play)
    (failed,) = play.heard(e.RequestFailed)
    assert failed.at == pytest.approx(LANDS_AT)
    assert failed.reason == "timeout"
    assert play.answer(order) is None
    assert_target_is_free(play)


@pytest.mark.parametrize(("keep", "tokens"), [(c.Keep.NOTHING, 0), (c.Keep.TOKENS, 12)])
def test_a_preemption_in_the_pause_takes_the_request_off_as_it_lands(
    keep: c.Keep, tokens: int
) -> None:
    play = hand()
    move(play, c.By.TOKENS)
    play.give(STOPPED_AT + 0.1, c.Preempt, REQUEST, keep)
    play_one(play)
    (preempted,) = play.heard(e.Preempted)
    assert preempted.at == pytest.approx(LANDS_AT)
    assert preempted.tokens_kept == tokens
    assert_target_is_free(play)


def test_a_request_preempted_and_dispatched_again_is_not_moved_by_the_old_order() -> None:
    play = hand()
    order = move(play, c.By.TOKENS)
    play.give(12.4, c.Preempt, REQUEST, c.Keep.TOKENS)
    play.dispatch(12.45, 0, FIRST)
    play_one(play)
    assert play.answer(order) is None
    assert end(play).instance == FIRST
    assert_target_is_free(play)


def full(play: Hand, prompt_tokens: int, output_tokens: int) -> CommandId:
    """A second request on the target from 12.0 on."""
    play.dispatch(12.0, 1, SECOND)
    order = move(play, c.By.TOKENS)
    other = arrival(1, 1.0, output_tokens, prompt_tokens=prompt_tokens)
    play.play(100.0, [arrival(0, 1.0, TOKENS), other])
    return order


@pytest.mark.parametrize(("other_prompt_tokens", "failed_at"), [(17, MOVED_AT), (4, STOPPED_AT)])
def test_without_kv_room_on_the_target_the_request_stays(
    other_prompt_tokens: int, failed_at: float
) -> None:
    """Two blocks of 16 tokens: a prompt of 17 leaves none, one of 4 the first block only."""
    play = hand(kv_blocks=2)
    failed = play.answer(full(play, other_prompt_tokens, 12))
    assert isinstance(failed, e.CommandFailed)
    assert failed.reason == "no_kv_room"
    assert failed.at == pytest.approx(failed_at)
    ends = {event.request: event.ended_at for event in play.heard(e.RequestFinished)}
    assert ends[REQUEST] == pytest.approx(STAYS_ENDS_AT)
    assert_target_is_free(play)


def test_a_copy_slower_than_decoding_gives_up_after_three_stages() -> None:
    slow = LinkSpec(10.0, 20.0, 40.0, peer_bytes_per_s=2.0)
    play = hand(kv_blocks=10_000, links=slow)
    play.dispatch(10.0)
    order = play.give(1000.0, c.Migrate, REQUEST, FIRST, SECOND, c.By.KV)
    play_one(play, 80_000, until=25_000.0)
    failed = play.answer(order)
    assert isinstance(failed, e.CommandFailed)
    assert failed.reason == "too_many_stages"
    assert end(play).instance == FIRST
    assert_target_is_free(play)


def test_a_request_that_waits_at_its_source_moves_without_kv() -> None:
    """Told at 10.5, while its prompt is being prefilled: nothing is generated yet."""
    play = hand()
    play.dispatch(10.0)
    order = play.give(10.5, c.Migrate, REQUEST, FIRST, SECOND, c.By.KV)
    play_one(play)
    assert isinstance(play.answer(order), e.Migrated)
    assert (end(play).instance, end(play).tokens) == (SECOND, TOKENS)
    assert_target_is_free(play)


def test_between_two_cards_of_one_node_kv_goes_over_pcie() -> None:
    models = [model(kv_bytes_per_token=1)]
    play = Hand(setup([node(0)], models, (), [(0, place(0, Tier.SSD))]), world(kv_blocks=100))
    play.start(0.0, FIRST, shards=(shard(0, 0),))
    play.start(0.0, SECOND, shards=(shard(0, 1),))
    order = move(play, c.By.KV)
    play_one(play)
    moved = play.answer(order)
    assert isinstance(moved, e.Migrated)
    # 13 tokens take 13/40 s, in which 1 more comes.
    assert moved.pause_s == pytest.approx(HANDSHAKE_S + 1 / 40)
