"""Faults: rates that come true, streams that do not touch each other, and nothing at zero."""

import math
import statistics

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import NodeId
from fleet.streams import Streams
from sim.faults import UNDISTURBED, FaultRateError, FaultRates, Faults, LoadOutcome

ALL = FaultRates(
    node_loss_per_node_hour=0.5,
    engine_crash_per_instance_hour=2.0,
    load_failure_probability=0.2,
    slow_load_probability=0.3,
    slow_load_factor=4.0,
    late_report_probability=0.1,
    late_report_s=7.0,
    fetch_failure_probability=0.25,
    full_disk_probability=0.05,
)
DRAWS = 20_000


class ForbiddenStreams(Streams):
    def named(self, name: str) -> object:  # type: ignore[override]
        raise AssertionError(f"{name} was drawn from")


def faults(rates: FaultRates, seed: int = 1) -> Faults:
    return Faults(rates, Streams(seed))


def within(share: float, probability: float) -> bool:
    """Four standard errors of a share of DRAWS independent draws."""
    return abs(share - probability) < 4 * math.sqrt(probability * (1 - probability) / DRAWS)


def history(drawn: Faults, draws: int = 200) -> dict[str, list[object]]:
    """Every kind's draws, taken in turns."""
    kinds: dict[str, list[object]] = {}
    for index in range(draws):
        outcome = drawn.load_outcome()
        for kind, value in (
            ("node", drawn.next_node_loss_s(NodeId(index % 3))),
            ("engine", drawn.engine_crash_after_s()),
            ("load", outcome.fails_after_fraction),
            ("slow", outcome.slow_factor > 1),
            ("late", drawn.report_delay_s()),
            ("fetch", drawn.fetch_fails_after_fraction()),
            ("disk", drawn.disk_is_full()),
        ):
            kinds.setdefault(kind, []).append(value)
    return kinds


def test_with_zero_rates_nothing_is_drawn_and_nothing_happens() -> None:
    calm = Faults(FaultRates(), ForbiddenStreams(1))
    assert calm.next_node_loss_s(NodeId(0)) == math.inf
    assert calm.engine_crash_after_s() == math.inf
    assert calm.load_outcome() is UNDISTURBED
    assert calm.report_delay_s() == 0.0
    assert calm.fetch_fails_after_fraction() is None
    assert calm.disk_is_full() is False
    assert calm.repair_after_s() is None


def test_probabilities_come_true_within_their_standard_errors() -> None:
    drawn = faults(ALL)
    outcomes = [drawn.load_outcome() for _ in range(DRAWS)]
    fractions = [o.fails_after_fraction for o in outcomes if o.fails_after_fraction is not None]
    assert within(len(fractions) / DRAWS, 0.2)
    assert within(sum(o.slow_factor == 4.0 for o in outcomes) / DRAWS, 0.3)
    assert {o.slow_factor for o in outcomes} == {1.0, 4.0}
    assert within(sum(drawn.report_delay_s() == 7.0 for _ in range(DRAWS)) / DRAWS, 0.1)
    assert within(sum(drawn.disk_is_full() for _ in range(DRAWS)) / DRAWS, 0.05)
    fetches = [drawn.fetch_fails_after_fraction() for _ in range(DRAWS)]
    assert within(sum(f is not None for f in fetches) / DRAWS, 0.25)
    error = 4 / math.sqrt(12 * len(fractions))
    assert statistics.fmean(fractions) == pytest.approx(0.5, abs=error)


def test_lifetimes_are_exponential_with_the_stated_rate() -> None:
    drawn = faults(ALL)
    nodes = [drawn.next_node_loss_s(NodeId(0)) for _ in range(DRAWS)]
    engines = [drawn.engine_crash_after_s() for _ in range(DRAWS)]
    for lives, mean_s in ((nodes, 7200.0), (engines, 1800.0)):
        assert statistics.fmean(lives) == pytest.approx(mean_s, rel=4 / math.sqrt(DRAWS))
        assert within(sum(life > mean_s for life in lives) / DRAWS, math.exp(-1))


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("node_loss_per_node_hour", "node"),
        ("engine_crash_per_instance_hour", "engine"),
        ("load_failure_probability", "load"),
        ("slow_load_probability", "slow"),
        ("late_report_probability", "late"),
        ("fetch_failure_probability", "fetch"),
        ("full_disk_probability", "disk"),
    ],
)
def test_one_kind_switched_off_leaves_the_others_where_they_were(field: str, kind: str) -> None:
    with_all = history(faults(ALL))
    without = history(faults(msgspec.structs.replace(ALL, **{field: 0.0})))
    assert with_all.pop(kind) != without.pop(kind)
    assert with_all == without


def test_more_nodes_do_not_move_the_losses_of_those_there_were() -> None:
    few, many = faults(ALL), faults(ALL)
    for number in range(5, 50):
        many.next_node_loss_s(NodeId(number))
    assert few.next_node_loss_s(NodeId(2)) == many.next_node_loss_s(NodeId(2))
    assert few.next_node_loss_s(NodeId(2)) != few.next_node_loss_s(NodeId(3))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 9))
def test_a_higher_rate_fails_the_same_loads_and_more(a: float, b: float, seed: int) -> None:
    def outcomes(probability: float) -> list[LoadOutcome]:
        drawn = faults(FaultRates(load_failure_probability=probability), seed)
        return [drawn.load_outcome() for _ in range(50)]

    low, high = outcomes(min(a, b)), outcomes(max(a, b))
    for rare, frequent in zip(low, high, strict=True):
        if rare.fails_after_fraction is not None:
            assert rare == frequent


def test_one_seed_is_one_history() -> None:
    assert history(faults(ALL, seed=3)) == history(faults(ALL, seed=3))
    assert history(faults(ALL, seed=3)) != history(faults(ALL, seed=4))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("load_failure_probability", 1.5, "is 1.5; it must be finite and between 0 and 1"),
        ("full_disk_probability", -0.1, "is -0.1; it must be finite and between 0 and 1"),
        ("slow_load_factor", 0.5, "is 0.5; it must be finite and 1 or more"),
        ("repair_s", -1.0, "is -1.0; it must be finite and 0 or more"),
        ("node_loss_per_node_hour", math.nan, "is nan; it must be finite and 0 or more"),
        ("late_report_s", math.inf, "is inf; it must be finite and 0 or more"),
    ],
)
def test_a_rate_that_cannot_be_is_named(field: str, value: float, words: str) -> None:
    with pytest.raises(FaultRateError, match=f"^{field} {words}$"):
        FaultRates(**{field: value})


def test_a_node_that_is_repaired_says_when() -> None:
    assert faults(FaultRates(repair_s=90.0)).repair_after_s() == 90.0
