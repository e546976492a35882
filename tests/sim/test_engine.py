"""The engine against the step-by-step oracle, and against arithmetic by hand."""

import math
from bisect import bisect_right

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

    def __init__(self, pace: EnginePace, seats: int, blocks: int, engines: int, shared: int):
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
    pace = msgspec_replace(
        draw(st.sampled_from([1, 4, 16])), draw(st.none() | st.integers(seats, 60))
    )
    engines = draw(st.integers(1, 3))
    return Setup(pace, seats, draw(st.integers(6, 60)), engines, draw(st.integers(0, engines)))


def msgspec_replace(block_tokens: int, budget: int | None) -> EnginePace:
    import msgspec

    return msgspec.structs.replace(PACE, block_tokens=block_tokens, max_batched_tokens=budget)


@st.composite
def scripts(draw: st.DrawFn) -> list[Arrival | Action]:
    script: list[Arrival | Action] = []
    arrivals = draw(st.integers(1, 14))
    at_ms = 0
    for request in range(arrivals):
        at_ms += draw(st.integers(0, 120))
        script.append(
            Arrival(
                at=at_ms / 1e3,
                engine=draw(st.integers(0, 2)),
                request=request,
                prompt_tokens=draw(st.integers(1, 90)),
                output_tokens=draw(st.integers(1, 50)),
                rank=draw(st.sampled_from([0, 0, 8, 64])),
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
    import msgspec

    return [msgspec.structs.replace(item, engine=item.engine % engines) for item in script]


def make(arrival: Arrival) -> Sequence:
    return Sequence(
        arrival.request, arrival.prompt_tokens, arrival.output_tokens, rank=arrival.rank
    )


def make_reference(arrival: Arrival) -> ReferenceSequence:
    return ReferenceSequence(
        arrival.request, arrival.prompt_tokens, arrival.output_tokens, rank=arrival.rank
    )


def close(ours: float, oracle: float) -> bool:
    return abs(ours - oracle) <= TOLERANCE_S


def near_an_edge(gap_s: float) -> bool:
    low = bisect_right(gaps.EDGES_S, gap_s - TOLERANCE_S)
    return low != bisect_right(gaps.EDGES_S, gap_s + TOLERANCE_S)


def assert_same_history(ours: Sequence, oracle: ReferenceSequence) -> None:
    gap_list = oracle.gap_list
    assert ours.generated == oracle.generated == len(oracle.token_times)
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


@settings(max_examples=300, deadline=None)
@given(setups(), scripts())
def test_it_equals_the_step_by_step_engine(setup: Setup, script: list[Arrival | Action]) -> None:
    script = on(len(setup.ours), script)
    oracle = Play(setup.oracles, script, make_reference).run()
    assume(not any(near_an_edge(gap) for engine in setup.oracles for gap in engine.gaps_seen))
    ours = Play(setup.ours, script, make).run()
    assert_same_play(ours, oracle)
    for engine, reference in zip(setup.ours, setup.oracles, strict=True):
        assert engine.preemptions == reference.preemptions
        assert engine.free_blocks(1e9) == engine.kv_blocks
        assert len(engine) == engine.running == engine.waiting == 0
