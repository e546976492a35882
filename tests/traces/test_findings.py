"""What a comparison says in words."""

import msgspec

from tests.traces.runs import two_request_story
from traces.comparison import Measure, Row, Run
from traces.findings import caveats, headline, standings
from traces.metrics import summarise
from traces.statistics import compare
from traces.summary import Saturation, Slo, Summary

TTFT = Measure("latency.ttft_s.p99", "TTFT p99", "s")
A, B, C = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95], [5.0, 5.2, 5.1, 4.9, 5.0, 5.1], [5.1, 5.1] * 3


def row_of(measure: Measure = TTFT, **values: list[float]) -> Row:
    return Row(measure, compare(values, measure.path))


def plain_summary() -> Summary:
    return summarise(two_request_story().record(), Slo(1.0, 0.1))


def test_each_pair_is_said_once_at_the_better_policy() -> None:
    first, second = standings(row_of(b=B, a=A, c=C))
    assert first.startswith("a (1 [")
    assert "is lower than b (by 4.05 s, 5.05 times), c (by 4.1 s, 5.1 times)" in first
    assert second.startswith("b (")
    assert second.endswith("cannot be told from c.")


def test_a_measure_without_real_differences_is_one_sentence() -> None:
    assert standings(row_of(b=B, c=C, d=C)) == ["No two policies can be told apart."]


def test_the_headline_names_the_best_and_counts_whom_it_beats() -> None:
    assert headline(row_of(a=A, b=B, c=C)).endswith("for real against 2 of the 2 others.")
    assert headline(row_of(b=B, c=C)).startswith("TTFT p99: no policy can be told from b")
    assert headline(row_of(a=A)) == ""


def test_high_is_good_where_the_measure_says_so() -> None:
    measure = Measure("objective.attainment", "SLO attainment", "%", "higher", percent=True)
    row = row_of(measure, low=[0.5, 0.52, 0.48, 0.5, 0.51], high=[0.9, 0.91, 0.89, 0.9, 0.92])
    (sentence,) = standings(row)
    assert sentence.startswith("high (90.4 [")
    assert "is higher than low (by 40.2 points" in sentence


def test_saturation_few_seeds_and_missing_requests_are_caveats() -> None:
    summary = plain_summary()
    stuck = msgspec.structs.replace(
        summary,
        saturation=Saturation(True, "Saturated: it grew.", 1.0, 9.0, 50, 0.0),
        requests=msgspec.structs.replace(summary.requests, arrived=10),
    )
    said = caveats([Run("calm", 0, summary), Run("stuck", 0, stuck)])
    assert any("stuck was saturated in 1 of 1 seeds" in s and "it grew" in s for s in said)
    assert any("stuck did not finish 80.0% of its requests" in s for s in said)
    assert any("1 seeds are too few" in s for s in said)
    assert not any("calm" in s for s in said)
