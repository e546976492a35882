"""Runs of several policies side by side."""

import msgspec
import pytest

from fleet.streams import Streams
from tests.traces.runs import two_request_story
from traces.comparison import (
    Measure,
    Run,
    by_policy,
    compare_runs,
    order_agreement,
    shown,
)
from traces.findings import standings
from traces.metrics import summarise
from traces.statistics import Interval
from traces.summary import Slo, Summary

TTFT = Measure("latency.ttft_s.p99", "TTFT p99", "s")
ATTAINED = Measure("objective.attainment", "SLO attainment", "%", "higher", percent=True)


def summary_with(p99_s: float, attainment: float) -> Summary:
    plain = summarise(two_request_story().record(), Slo(1.0, 0.1))
    assert plain.latency.ttft_s is not None
    ttft = msgspec.structs.replace(plain.latency.ttft_s, p99=p99_s)
    latency = msgspec.structs.replace(plain.latency, ttft_s=ttft)
    objective = msgspec.structs.replace(plain.objective, attainment=attainment)
    return msgspec.structs.replace(plain, latency=latency, objective=objective)


def made_runs(seeds: int = 8) -> list[Run]:
    """`fast` beats `slow` by 2 s on every seed; `twin` is `fast` with a little jitter."""
    luck = Streams(3).array("luck")
    runs = []
    for seed in range(seeds):
        base = 10.0 + luck.normal(0, 1)
        for policy, p99_s, share in (
            ("fast", base, 0.9),
            ("slow", base + 2 + luck.normal(0, 0.1), 0.6),
            ("twin", base + luck.normal(0, 0.1), 0.9),
        ):
            runs.append(Run(policy, seed, summary_with(p99_s, share)))
    return runs


def test_a_difference_on_every_seed_is_real_and_jitter_is_not() -> None:
    (row,) = (row for row in compare_runs(made_runs(), [TTFT]) if row.measure is TTFT)
    real = {frozenset((pair.left, pair.right)): pair.real for pair in row.comparison.pairs}
    assert real == {
        frozenset(("fast", "slow")): True,
        frozenset(("twin", "slow")): True,
        frozenset(("fast", "twin")): False,
    }
    assert {pair.difference.n for pair in row.comparison.pairs} == {8}


def test_higher_is_better_where_the_measure_says_so() -> None:
    row = compare_runs(made_runs(), [ATTAINED])[0]
    assert row.best == "fast"
    assert "is higher than slow (by 30 points" in standings(row)[0]


def test_only_seeds_that_all_policies_ran_are_paired() -> None:
    runs = [run for run in made_runs() if (run.policy, run.seed) != ("slow", 3)]
    assert [run.seed for run in by_policy(runs)["fast"]] == [0, 1, 2, 4, 5, 6, 7]


def test_a_seed_run_twice_and_seeds_not_shared_are_refused() -> None:
    one, two = made_runs(2)[0], made_runs(2)[4]
    with pytest.raises(ValueError, match="policy 'fast' has two runs of seed 0"):
        by_policy([one, one])
    with pytest.raises(ValueError, match="share no seed"):
        by_policy([one, two])


def test_the_order_of_seeds_agrees_with_the_order_of_means() -> None:
    runs = [run for run in made_runs() if run.policy != "twin"]
    row = compare_runs(runs, [TTFT])[0]
    assert order_agreement(row, runs) == 1.0


def test_measures_that_no_run_has_are_left_out() -> None:
    rows = compare_runs(made_runs(), [TTFT])
    assert [row.measure.path for row in rows] == ["latency.ttft_s.p99"]


def test_values_are_shown_with_bounds_and_units() -> None:
    assert shown(TTFT, Interval(1.5, 1.0, 2.0, 10)) == "1.5 [1, 2] s"
    assert shown(ATTAINED, Interval(0.5, None, None, 3)) == "50 %"
    assert shown(ATTAINED, None) == "-"
