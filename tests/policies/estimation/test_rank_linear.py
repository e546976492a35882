"""Attach times as a line in the rank: the fit, and adapters of one base and of two."""

from dataclasses import replace
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import AdapterId, AdapterSpec, ArtifactId, ModelId, Tier, Whole
from fleet.estimates import Belief, SlowestHop
from policies.estimation.rank_linear import Line, RankLinear
from sim.faults import FaultRates
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrival
from tests.policies.estimation.witness import attach_error_s, believing


def lora(number: int, base: int, rank: int, weight_bytes: int) -> AdapterSpec:
    return AdapterSpec(
        AdapterId(ArtifactId(number)), f"a{number}", ModelId(ArtifactId(base)), weight_bytes, rank
    )


def test_rank_linear_by_hand_two_ranks_make_a_line() -> None:
    """Rank 8 in 3 s, rank 16 in 5 s: t0 is 1 s and a rank takes 0.25 s."""
    line = Line()
    line.saw(8.0, 3.0)
    assert line.at(32.0) is None
    line.saw(16.0, 5.0)
    assert isclose(line.at(32.0) or 0.0, 9.0)


def test_rank_linear_by_hand_learns_from_what_was_attached() -> None:
    """Until two ranks were seen it is the prior: 0.1 s and 8 bytes at 40 a second, from SSD."""
    rule = RankLinear()
    bench = Bench(
        [node(0)],
        [model(0, adapters=2)],
        adapters=[adapter(20), lora(21, 0, 16, 16)],
        resident=[(20, 0, Tier.SSD), (21, 0, Tier.SSD)],
        policy=believing(rule),
    )
    bench.finish(bench.ask(0, adapter=20))
    spec_, slow, belief = adapter(20), node(0), Belief(attach_s=0.1)
    assert isclose(rule.attach_s(spec_, slow, Tier.SSD, belief), 0.1 + 8 / 40)
    bench.finish(bench.ask(0, adapter=21))  # the bench answers every attach after 0.1 s
    assert isclose(rule.attach_s(spec_, slow, Tier.SSD, Belief(attach_s=7.0)), 0.1)
    assert rule.attach_s(spec_, slow, Tier.DRAM, belief) == 0.1 + 8 / 80


@given(
    t0=st.floats(0, 10),
    slope=st.floats(0, 10),
    ranks=st.lists(st.sampled_from([4, 8, 16, 64]), min_size=2, max_size=9).filter(
        lambda r: len(set(r)) > 1
    ),
)
def test_a_line_is_found_again(t0: float, slope: float, ranks: list[int]) -> None:
    line = Line()
    for rank in ranks:
        line.saw(rank, t0 + slope * rank)
    assert line.at(32.0) == pytest.approx(t0 + slope * 32, abs=1e-6)


def test_a_line_that_would_be_negative_is_nothing() -> None:
    line = Line()
    line.saw(8.0, 1.0)
    line.saw(16.0, 9.0)
    assert line.at(1.0) == 0.0


SLOW = FaultRates(slow_load_probability=1.0, slow_load_factor=4.0)
RANKS = (8, 16, 32, 64, 8, 16, 32, 64)
LORAS = tuple(lora(100 + n, 0, rank, rank * 10_000_000) for n, rank in enumerate(RANKS))


def settings(loras: tuple[AdapterSpec, ...], models: int = 1) -> Setting:
    return Setting(
        nodes=(a40(0),),
        models=tuple(spec(n, 13 * GB, Whole(1), slots=8, adapters=8) for n in range(models)),
        adapters=loras,
        resident=(
            *((n, 0, Tier.SSD) for n in range(models)),
            *((int(a.id), 0, Tier.SSD) for a in loras),
        ),
        arrivals=tuple(
            arrival(n, 3.0 * n, int(a.model), 20, adapter=a.id) for n, a in enumerate(loras)
        ),
        faults=SLOW,
    )


def test_rank_linear_gains_where_loads_are_slower_than_the_specs_say() -> None:
    """Every load runs at a quarter of the link. The kernel corrects the loads of models by what
    they took, and leaves those of adapters to the prior."""
    ours = attach_error_s(settings(LORAS), believing(RankLinear()))
    assert ours * 1.5 < attach_error_s(settings(LORAS), believing(SlowestHop()))


def test_rank_linear_loses_where_two_bases_have_adapters_of_one_rank() -> None:
    """The second base is eight times as wide: its adapters of a rank have eight times the bytes."""
    narrow = tuple(lora(100 + n, 0, r, r * 10_000_000) for n, r in enumerate(RANKS))
    wide = tuple(lora(200 + n, 1, r, r * 80_000_000) for n, r in enumerate(RANKS))
    mixed = tuple(a for pair in zip(narrow, wide, strict=True) for a in pair)
    two = replace(settings(mixed, 2), faults=FaultRates())
    simplest = attach_error_s(two, believing(SlowestHop()))
    assert attach_error_s(two, believing(RankLinear())) > 2 * simplest
    assert attach_error_s(two, believing(RankLinear("bytes"))) < 2 * simplest
