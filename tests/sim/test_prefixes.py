"""Prompts' blocks that an engine keeps: by themselves, in an engine, and in a simulated instance.

In the simulated fleet a step takes 0.25 s and a prefill token 0.125 s more; KV blocks hold 16.
"""

from collections.abc import Sequence as Many

import msgspec
import pytest

from fleet import commands as c
from fleet import events as e
from fleet.domain import REMOTE
from sim.calendar import Arrival
from sim.engine import Engine
from sim.pace import EnginePace
from sim.prefixes import Prefixes
from sim.sequence import Sequence
from tests.sim.by_hand import FIRST, REQUEST, SECOND, Hand, shard
from tests.sim.worlds import adapter, arrival, but, model, node, setup, world

PACE = EnginePace(1.0, per_prefill_token_s=1.0, block_tokens=4)


def test_a_block_stays_findable_while_any_sequence_refers_to_it() -> None:
    prefixes = Prefixes(most_idle_tokens=0)
    prefixes.use((1, 2))
    prefixes.use((1,))
    prefixes.leave((1, 2), 4)
    assert prefixes.leading((1, 2), 2) == 1
    prefixes.leave((1,), 4)
    assert len(prefixes) == 0


def test_the_end_of_the_least_recently_used_prompt_goes_first() -> None:
    prefixes = Prefixes(most_idle_tokens=16)
    for prompt in ((1, 2), (5, 6), (1, 3)):
        prefixes.use(prompt)
        prefixes.leave(prompt, 4)
    assert prefixes.idle == [6, 5, 3, 1]  # 2 had to go
    prefixes.trim(8)
    assert prefixes.idle == [3, 1]
    assert prefixes.idle_tokens == 8


def test_only_a_run_of_leading_blocks_counts() -> None:
    prefixes = Prefixes(most_idle_tokens=100)
    prefixes.use((1, 2, 3))
    assert prefixes.leading((1, 9, 3), 3) == 1
    assert prefixes.leading((1, 2, 3), 2) == 2
    assert prefixes.leading((9, 1, 2), 3) == 0


def prompt(request: int, prefix: Many[int], tokens: int = 12, output_tokens: int = 1) -> Sequence:
    return Sequence(request, tokens, output_tokens, prefix=tuple(prefix), prefix_block_tokens=4)


def play(engine: Engine, *sequences: Sequence) -> list[Sequence]:
    """One after another, each alone."""
    ended = []
    for sequence in sequences:
        at = 1000.0 * sequence.request
        engine.add(at, sequence)
        while engine.next_at < at + 1000.0:
            ended += engine.wake(engine.next_at)
    return ended


def first_token_s(sequence: Sequence) -> float:
    return sequence.first_token_at - sequence.scheduled_at


def test_what_an_earlier_prompt_left_needs_no_prefill() -> None:
    cold, warm, other = play(
        Engine(PACE, 4, 100), prompt(0, [1, 2]), prompt(1, [1, 2]), prompt(2, [1, 7])
    )
    assert [s.cached_tokens for s in (cold, warm, other)] == [0, 8, 4]
    assert [first_token_s(s) for s in (cold, warm, other)] == [13.0, 5.0, 9.0]


def test_the_last_block_of_a_prompt_of_whole_blocks_is_computed_again() -> None:
    _, warm = play(Engine(PACE, 4, 100), prompt(0, [1, 2, 3]), prompt(1, [1, 2, 3]))
    assert warm.cached_tokens == 8


def test_prompts_of_one_batch_share_from_the_moment_they_are_scheduled() -> None:
    engine = Engine(PACE, 4, 100)
    pair = [prompt(0, [1, 2]), prompt(1, [1, 2])]
    blocker = Sequence(9, 1, 1)
    for sequence in (blocker, *pair):
        engine.add(0.0, sequence)
    while engine.next_at < 1000.0:
        engine.wake(engine.next_at)
    assert [s.cached_tokens for s in pair] == [0, 8]
    assert pair[0].first_token_at == pair[1].first_token_at == 2.0 + 1.0 + 12 + 4


def test_running_sequences_take_the_room_of_prompts_that_ended() -> None:
    """Ten blocks: a prompt of eight with its token takes nine, which leaves one of the first."""
    engine = Engine(PACE, 4, 10)
    play(engine, prompt(0, [1, 2, 3]), prompt(1, [], tokens=33))
    assert engine.unused_prefixes(2000.0) == [1]


@pytest.mark.parametrize(("share", "cached"), [(0.0, 0), (0.01, 4), (1.0, 8)])
def test_a_share_of_the_kv_memory_bounds_what_is_kept(share: float, cached: int) -> None:
    pace = msgspec.structs.replace(PACE, prefix_cache_share=share)
    _, warm = play(Engine(pace, 4, 100), prompt(0, [1, 2]), prompt(1, [1, 2]))
    assert warm.cached_tokens == cached


def test_a_sequence_that_comes_with_its_kv_brings_its_prompt_s_blocks() -> None:
    engine = Engine(PACE, 4, 100)
    moved = prompt(0, [1, 2], output_tokens=5)
    moved.generated, moved.prefilled = 1, 12
    moved.first_token_at = moved.last_token_at = -1.0
    _, warm = play(engine, moved, prompt(1, [1, 2]))
    assert (moved.cached_tokens, warm.cached_tokens) == (0, 8)


def test_a_preempted_sequence_finds_its_own_prompt_and_reports_what_it_found_first() -> None:
    engine = Engine(PACE, 4, 9)
    ended = play(engine, prompt(0, [1, 2], output_tokens=12))
    assert ended[0].cached_tokens == 0
    first, second = prompt(1, [1, 2], output_tokens=12), prompt(2, [3, 4], output_tokens=12)
    engine.add(1000.0, first)
    engine.add(1000.0, second)
    while engine.next_at < 2000.0:
        engine.wake(engine.next_at)
    assert engine.preemptions == 1
    assert (first.cached_tokens, second.cached_tokens) == (8, 0)


@pytest.mark.parametrize(("blocks", "block_tokens"), [(1, 0), (4, 4)])
def test_a_prefix_that_cannot_be_is_refused(blocks: int, block_tokens: int) -> None:
    odd = Sequence(0, 12, 1, prefix=tuple(range(blocks)), prefix_block_tokens=block_tokens)
    with pytest.raises(ValueError, match=rf"prefix_block_tokens is {block_tokens}"):
        Engine(PACE, 4, 100).add(0.0, odd)


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prefix_cache_share is 1\.5: it must be from 0 to 1"):
        EnginePace(1.0, prefix_cache_share=1.5)


# In the fleet


def asks(number: int, at: float, *, adapter: int | None = None) -> Arrival:
    plain = arrival(number, at, 4, adapter=adapter, prompt_tokens=40)
    return Arrival(but(plain.request, prefix=(1, 2), block_tokens=16), 4)


def hand() -> Hand:
    spec = model(kv_bytes_per_token=1, slots=2, adapters=2)
    loras = [adapter(number, number) for number in (1, 2)]
    fleet = Hand(setup([node(0), node(1)], [spec], loras), world(kv_blocks=100))
    fleet.start(0.0, FIRST, shards=(shard(0),))
    return fleet


def cached(fleet: Hand) -> dict[int, int]:
    return {end.request: end.cached_tokens for end in fleet.heard(e.RequestFinished)}


def test_a_finish_says_what_was_cached() -> None:
    fleet = hand()
    for number in (0, 1):
        fleet.dispatch(10.0 + 20.0 * number, number)
    fleet.play(60.0, [asks(0, 1.0), asks(1, 2.0)])
    assert cached(fleet) == {0: 0, 1: 32}
    ends = fleet.heard(e.RequestFinished)
    assert [end.first_token_at - end.scheduled_at for end in ends] == [
        pytest.approx(0.25 + 40 * 0.125),
        pytest.approx(0.25 + 8 * 0.125),
    ]


@pytest.mark.parametrize("ending", ["stop", "crash", "sleep"])
def test_the_cache_goes_with_its_engine(ending: str) -> None:
    fleet = hand()
    fleet.dispatch(10.0, 0)
    again = FIRST
    if ending == "sleep":
        fleet.give(20.0, c.Sleep, FIRST, 2)
        fleet.give(25.0, c.Wake, FIRST, REMOTE)
    elif ending == "stop":
        fleet.give(20.0, c.StopInstance, FIRST)
    else:
        fleet.crash(20.0)
    if ending != "sleep":
        again = SECOND
        fleet.start(25.0, SECOND, shards=(shard(0),))
    fleet.dispatch(60.0, 1, again)
    fleet.play(90.0, [asks(0, 1.0), asks(1, 2.0)])
    assert cached(fleet) == {0: 0, 1: 0}


def test_equal_text_under_another_adapter_is_not_found() -> None:
    fleet = hand()
    for number, lora in enumerate((1, 2)):
        fleet.attach(5.0 + number, lora)
    for number in range(4):
        fleet.dispatch(20.0 + 20.0 * number, number)
    arrivals = [asks(0, 1.0), asks(1, 1.0, adapter=1), asks(2, 1.0, adapter=2)]
    fleet.play(120.0, [*arrivals, asks(3, 1.0, adapter=1)])
    assert cached(fleet) == {0: 0, 1: 0, 2: 0, 3: 32}


def test_a_request_that_moves_leaves_its_prompt_here_and_brings_it_there() -> None:
    fleet = hand()
    fleet.start(0.0, SECOND, shards=(shard(1),))
    fleet.dispatch(10.0, 0)
    fleet.give(16.0, c.Migrate, REQUEST, FIRST, SECOND, c.By.TOKENS)
    fleet.dispatch(60.0, 1, FIRST)
    fleet.dispatch(60.0, 2, SECOND)
    long = Arrival(asks(0, 1.0).request, 100)
    fleet.play(90.0, [long, asks(1, 1.0), asks(2, 1.0)])
    assert len(fleet.heard(e.Migrated)) == 1
    assert cached(fleet) == {0: 0, 1: 32, 2: 32}
