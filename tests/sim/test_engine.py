"""The engine against the step-by-step oracle, and against arithmetic by hand."""

import math
from bisect import bisect_right

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fleet import gaps
from sim.card import Card
from sim.engine import Engine, NeverFits, NoRoom
from sim.pace import EnginePace
from sim.sequence import Sequence
from tests.sim.engine_script import Action, Arrival, Play
from tests.sim.reference_engine import ReferenceCard, ReferenceEngine, ReferenceSequence

TOLERANCE_S = 1e-9
# No two sums of these coincide with each other, with an arrival or with the edge of a gap bin.
PACE = EnginePace(
    step_s=0.0080123457,
    per_sequence_s=2.0712311e-4,
    per_context_token_s=1.2812347e-5,
    per_prefill_token_s=3.0131719e-5,
    adapter_step_s=1.1732323e-3,
    adapter_rank_s=2.3171923e-5,
    block_tokens=4,
)


class Setup:
    """The same engines twice: ours and the oracle's."""

    def __init__(
        self, pace: EnginePace, seats: int, blocks: int, engines: int, shared: int
    ) -> None:
        """The first `shared` engines share a card."""
        self.text = f"Setup({pace}, {seats=}, {blocks=}, {engines=}, {shared=})"
        card, oracle_card = Card(), ReferenceCard()
        self.ours = [
            Engine(pace, seats, blocks, card if i < shared else None) for i in range(engines)
        ]
        self.oracles = [
            ReferenceEngine(pace, seats, blocks, oracle_card if i < shared else None)
            for i in range(engines)
        ]

    def __repr__(self) -> str:
        return self.text


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    seats = draw(st.integers(1, 8))
    pace = msgspec.structs.replace(
        PACE,
        block_tokens=draw(st.sampled_from([1, 4, 16])),
        max_batched_tokens=draw(st.none() | st.integers(seats, 60)),
        prefix_cache_share=draw(st.sampled_from([1.0, 1.0, 0.3, 0.0])),
    )
    engines = draw(st.integers(1, 3))
    blocks = draw(st.integers(6, 60) | st.just(5000))
    return Setup(pace, seats, blocks, engines, draw(st.integers(0, engines)))


@st.composite
def prefixes(draw: st.DrawFn, texts: int, blocks: int) -> tuple[int, ...]:
    """Block `i` of text `t` is 100 * t + i; texts share their first two blocks."""
    text = draw(st.integers(1, texts))
    return tuple(100 * (text if i > 1 else 0) + i for i in range(draw(st.integers(0, blocks))))


@st.composite
def scripts(draw: st.DrawFn) -> list[Arrival | Action]:
    script: list[Arrival | Action] = []
    arrivals = draw(st.integers(1, 14))
    at_ms = 0
    texts = draw(st.none() | st.integers(1, 3))
    block_tokens = draw(st.sampled_from([3, 4, 8, 16]))
    for request in range(arrivals):
        at_ms += draw(st.integers(0, 120))
        prompt_tokens = draw(st.integers(1, 90))
        prefix = () if texts is None else draw(prefixes(texts, prompt_tokens // block_tokens))
        script.append(
            Arrival(
                at=at_ms / 1e3,
                engine=draw(st.integers(0, 2)),
                request=request,
                prompt_tokens=prompt_tokens,
                output_tokens=draw(st.integers(1, 50)),
                rank=draw(st.sampled_from([0, 0, 8, 64])),
                prefix=prefix,
                prefix_block_tokens=block_tokens if prefix else 0,
            )
        )
    for _ in range(draw(st.integers(0, 8))):
        script.append(
            Action(
                at=draw(st.integers(0, 1500)) / 1e3 + 0.000371,
                kind=draw(st.sampled_from(["drop", "move", "move", "reserve", "probe"])),
                request=draw(st.integers(0, arrivals - 1)),
                engine=draw(st.integers(0, 2)),
                kept=draw(st.sampled_from([0.0, 0.4, 0.9, 1.0, 1.0])),
                delay_s=draw(st.integers(0, 300)) / 1e3 + 0.00000713,
            )
        )
    return script


def on(engines: int, script: list[Arrival | Action]) -> list[Arrival | Action]:
    return [msgspec.structs.replace(item, engine=item.engine % engines) for item in script]


def make(arrival: Arrival) -> Sequence:
    return Sequence(
        arrival.request,
        arrival.prompt_tokens,
        arrival.output_tokens,
        rank=arrival.rank,
        prefix=arrival.prefix,
        prefix_block_tokens=arrival.prefix_block_tokens,
    )


def make_reference(arrival: Arrival) -> ReferenceSequence:
    return ReferenceSequence(
        arrival.request,
        arrival.prompt_tokens,
        arrival.output_tokens,
        rank=arrival.rank,
        prefix=arrival.prefix,
        prefix_block_tokens=arrival.prefix_block_tokens,
    )


def close(ours: float, oracle: float) -> bool:
    return abs(ours - oracle) <= TOLERANCE_S


def near_an_edge(gap_s: float) -> bool:
    low = bisect_right(gaps.EDGES_S, gap_s - TOLERANCE_S)
    return low != bisect_right(gaps.EDGES_S, gap_s + TOLERANCE_S)


def assert_same_history(ours: Sequence, oracle: ReferenceSequence) -> None:
    gap_list = oracle.gap_list
    assert ours.generated == oracle.generated == len(oracle.token_times)
    assert ours.cached_tokens == oracle.cached_tokens
    if oracle.scheduled_at is None:
        assert math.isnan(ours.scheduled_at)
    else:
        assert close(ours.scheduled_at, oracle.scheduled_at)
    if oracle.token_times:
        assert close(ours.first_token_at, oracle.token_times[0])
        last_at = ours.last_token_at if math.isnan(ours.ended_at) else ours.ended_at
        assert close(last_at, oracle.token_times[-1])
    assert close(ours.longest_gap_s, max(gap_list, default=0.0))
    packed = 0
    for gap_s in gap_list:
        packed = gaps.add(packed, gap_s)
    assert gaps.counts(ours.gaps) == gaps.counts(packed)


def assert_same_play(ours: Play[Sequence], oracle: Play[ReferenceSequence]) -> None:
    assert ours.ended.keys() == oracle.ended.keys()
    for request, (sequence, ended_at) in ours.ended.items():
        reference, reference_ended_at = oracle.ended[request]
        assert close(sequence.ended_at, reference_ended_at)
        assert close(sequence.ended_at, ended_at)
        assert_same_history(sequence, reference)
    assert ours.dropped.keys() == oracle.dropped.keys()
    for request, sequence in ours.dropped.items():
        assert_same_history(sequence, oracle.dropped[request])
    assert ours.refused == oracle.refused
    assert ours.seen == oracle.seen


@st.composite
def tight(draw: st.DrawFn) -> Setup:
    """Prompts that ended have little room beside those that run."""
    seats = draw(st.integers(2, 5))
    budget = draw(st.none() | st.integers(seats, 12))
    pace = msgspec.structs.replace(PACE, max_batched_tokens=budget)
    return Setup(pace, seats, draw(st.integers(12, 22)), 1, 0)


@st.composite
def repeated_prompts(draw: st.DrawFn) -> list[Arrival | Action]:
    """A few texts asked for over and over, by requests of which not all fit at once."""
    script: list[Arrival | Action] = []
    at_ms = 0
    for request in range(draw(st.integers(4, 14))):
        at_ms += draw(st.sampled_from([0, 0, 20, 150, 500]))
        blocks = draw(st.integers(1, 8))
        text = draw(st.integers(1, 2))
        script.append(
            Arrival(
                at=at_ms / 1e3,
                engine=0,
                request=request,
                prompt_tokens=4 * blocks + draw(st.integers(0, 3)),
                output_tokens=draw(st.integers(1, 16)),
                prefix=tuple(range(100 * text, 100 * text + blocks)),
                prefix_block_tokens=4,
            )
        )
    return script


@settings(max_examples=300, deadline=None)
@given(tight(), repeated_prompts())
def test_it_equals_the_step_by_step_engine_where_prompts_repeat(
    setup: Setup, script: list[Arrival | Action]
) -> None:
    assume(play_the_same(setup, script))


@settings(max_examples=300, deadline=None)
@given(setups(), scripts())
def test_it_equals_the_step_by_step_engine(setup: Setup, script: list[Arrival | Action]) -> None:
    assume(play_the_same(setup, on(len(setup.ours), script)))


def play_the_same(setup: Setup, script: list[Arrival | Action]) -> bool:
    """False where rounding could put a gap into either of two bins: nothing was compared then."""
    oracle = Play(setup.oracles, script, make_reference).run()
    if any(near_an_edge(gap) for engine in setup.oracles for gap in engine.gaps_seen):
        return False
    ours = Play(setup.ours, script, make).run()
    assert_same_play(ours, oracle)
    for engine, reference in zip(setup.ours, setup.oracles, strict=True):
        assert engine.preemptions == reference.preemptions
        assert engine.free_blocks(1e9) == engine.kv_blocks
        assert engine.unused_prefixes(1e9) == reference.unused_prefixes(1e9)
        assert len(engine) == engine.running == engine.waiting == 0
    return True


def test_a_prompt_that_loses_what_it_found_may_fit_in_the_middle_of_a_run() -> None:
    """The last request is preempted, finds its 16 tokens again and has no room for them all at
    once; when decoding has taken one of their blocks it finds none, and its first chunk fits."""
    pace = msgspec.structs.replace(PACE, block_tokens=4, max_batched_tokens=3)
    setup = Setup(pace, seats=2, blocks=7, engines=1, shared=0)
    script: list[Arrival | Action] = [
        Arrival(0.0, 0, request, prompt_tokens=1, output_tokens=13 if request == 2 else 1)
        for request in range(4)
    ]
    script.append(Arrival(0.0, 0, 4, 16, 2, prefix=(0,), prefix_block_tokens=16))
    assert play_the_same(setup, script)
    assert setup.ours[0].preemptions == 1


class Alone(Engine):
    """An engine of its own, and what a test does with it over and over."""

    def __init__(self, pace: EnginePace = PACE, seats: int = 8, blocks: int = 1000) -> None:
        super().__init__(pace, seats, blocks)

    def wake_until(self, at: float) -> list[Sequence]:
        ended: list[Sequence] = []
        while self.next_at < at:
            ended += self.wake(self.next_at)
        return ended

    def finish(self) -> list[Sequence]:
        return self.wake_until(math.inf)


def decode_s(sequences: int, context: int) -> float:
    return PACE.step_s + PACE.per_sequence_s * sequences + PACE.per_context_token_s * context


def prefill_s(tokens: int, decoding: int = 0, context: int = 0) -> float:
    return decode_s(decoding + 1, context) + PACE.per_prefill_token_s * tokens


def test_one_request_takes_its_prefill_and_a_rising_decode() -> None:
    engine = Alone()
    engine.add(2.0, Sequence(7, prompt_tokens=100, output_tokens=50))
    (ended,) = engine.finish()
    first_token_at = 2.0 + prefill_s(100)
    # 49 decode iterations, which start with 100, 101, ... 148 tokens in the cache.
    decoding_s = 49 * decode_s(1, 100) + PACE.per_context_token_s * 49 * 48 / 2
    assert ended.scheduled_at == 2.0
    assert ended.first_token_at == pytest.approx(first_token_at, abs=1e-12)
    assert ended.ended_at == pytest.approx(first_token_at + decoding_s, abs=1e-12)
    assert ended.longest_gap_s == pytest.approx(decode_s(1, 148), abs=1e-15)
    assert sum(gaps.counts(ended.gaps)) == 49


def test_a_run_of_gaps_is_split_at_the_bin_edge_it_crosses() -> None:
    engine = Alone()
    engine.add(0.0, Sequence(0, prompt_tokens=10, output_tokens=2000))
    (ended,) = engine.finish()
    by_hand = 0
    for step in range(1999):
        by_hand = gaps.add(by_hand, decode_s(1, 10 + step))
    assert ended.gaps == by_hand
    assert sum(count > 0 for count in gaps.counts(by_hand)) > 2


def test_an_arrival_waits_for_the_iteration_in_progress_and_stalls_the_others() -> None:
    engine = Alone()
    engine.add(0.0, Sequence(0, prompt_tokens=20, output_tokens=30))
    boundary = prefill_s(20) + decode_s(1, 20)
    engine.wake_until(boundary - 0.001)
    engine.add(boundary - 0.001, Sequence(1, prompt_tokens=200, output_tokens=1))
    later, first = engine.finish()
    assert later.scheduled_at == pytest.approx(boundary, abs=1e-12)
    stall_s = prefill_s(200, decoding=1, context=21)
    assert later.ended_at == pytest.approx(boundary + stall_s, abs=1e-12)
    assert first.longest_gap_s == pytest.approx(stall_s, abs=1e-12)


def test_the_last_admitted_is_recomputed_when_blocks_run_out() -> None:
    engine = Alone(blocks=12)
    engine.add(0.0, Sequence(0, prompt_tokens=16, output_tokens=20))
    engine.add(0.0, Sequence(1, prompt_tokens=16, output_tokens=20))
    first, second = engine.finish()
    assert (first.request, second.request, engine.preemptions) == (0, 1, 1)
    assert sum(gaps.counts(second.gaps)) == 19
    assert second.longest_gap_s > second.ended_at - first.ended_at
    assert engine.free_blocks(second.ended_at) == 12


def test_two_engines_on_a_card_each_run_at_half_speed() -> None:
    card = Card()
    pair = [Engine(PACE, 8, 1000, card) for _ in range(2)]
    for engine in pair:
        engine.add(0.0, Sequence(0, prompt_tokens=100, output_tokens=40))
    assert card.take_moved() == [pair[0]]
    twice_s = 2 * (prefill_s(100) + 39 * decode_s(1, 100) + PACE.per_context_token_s * 39 * 19)
    ended = Play(pair, [], make).run().ended
    assert ended[0][1] == pytest.approx(twice_s, abs=1e-12)
    assert card.working == 0


def test_a_crash_gives_the_card_to_the_others() -> None:
    card = Card()
    left, crashing = (Engine(PACE, 8, 1000, card) for _ in range(2))
    left.add(0.0, Sequence(0, prompt_tokens=100, output_tokens=40))
    crashing.add(0.0, Sequence(1, prompt_tokens=3000, output_tokens=900))
    alone_s = prefill_s(100) + 39 * decode_s(1, 100) + PACE.per_context_token_s * 39 * 19
    crashing.close(0.02)
    assert crashing.next_at == math.inf
    (end,) = Play([left], [], make).run().ended.values()
    assert end[1] == pytest.approx(0.01 + alone_s, abs=1e-12)


def test_a_removed_sequence_goes_on_elsewhere_with_all_its_gaps() -> None:
    source, target = Alone(), Alone()
    source.add(0.0, Sequence(0, prompt_tokens=50, output_tokens=100))
    source.wake_until(0.5)
    gone = source.remove(0.5, 0)
    assert 0 not in source
    assert 0 < gone.generated < 100
    gone.prefilled = 50 + gone.generated - 1
    target.add(0.9, gone)
    (ended,) = target.finish()
    assert source.finish() == []
    assert sum(gaps.counts(ended.gaps)) == 99
    pause_s = 0.9 + decode_s(1, gone.prefilled) - gone.last_token_at
    assert ended.longest_gap_s == pytest.approx(pause_s, abs=1e-12)


def test_what_can_never_fit_is_refused_with_its_numbers() -> None:
    engine = Alone(blocks=10)
    with pytest.raises(NeverFits, match=r"request 3: its 30 \+ 11 tokens need 11 of 10 KV blocks"):
        engine.add(0.0, Sequence(3, prompt_tokens=30, output_tokens=11))
    assert len(engine) == 0


def test_a_reservation_keeps_blocks_and_a_seat_for_the_one_who_comes() -> None:
    engine = Alone(seats=2, blocks=30)
    engine.add(0.0, Sequence(0, prompt_tokens=20, output_tokens=9))
    assert engine.reserve(0.0, 5, tokens=64)
    assert not engine.reserve(0.0, 6, tokens=1)
    assert engine.free_blocks(0.0) == 30 - 5 - 16
    late = Sequence(5, 60, 9, generated=4, prefilled=63, first_token_at=-2.0, last_token_at=-1.0)
    with pytest.raises(NoRoom, match="request 6: no seat"):
        engine.add(0.0, msgspec.structs.replace(late, request=6))
    engine.add(0.0, late)
    assert {ended.request for ended in engine.finish()} == {0, 5}
    assert engine.free_blocks(9.0) == 30


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt_tokens", 0), ("output_tokens", 0), ("generated", 5), ("prefilled", 12)],
)
def test_a_sequence_that_makes_no_sense_is_refused_by_field(field: str, value: int) -> None:
    sequence = Sequence(0, prompt_tokens=12, output_tokens=5)
    setattr(sequence, field, value)
    with pytest.raises(ValueError, match=field):
        Alone().add(0.0, sequence)


def test_a_budget_below_the_seats_is_refused() -> None:
    pace = msgspec.structs.replace(PACE, max_batched_tokens=7)
    with pytest.raises(ValueError, match=r"max_batched_tokens is 7.*at least max_sequences"):
        Alone(pace)


def test_wake_ups_do_not_grow_with_tokens() -> None:
    """About one for each end and one for each arrival that moved an end."""
    script: list[Arrival | Action] = [
        Arrival(request * 0.113, 0, request, prompt_tokens=150, output_tokens=400)
        for request in range(300)
    ]
    play = Play([Alone(seats=128, blocks=100_000)], script, make).run()
    assert len(play.ended) == 300
    assert play.wakes <= 3 * 300
