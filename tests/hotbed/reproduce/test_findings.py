"""Published numbers beside ours: which of our rows is compared, and what is said of it."""

from io import StringIO

import msgspec
from rich.console import Console

from hotbed.reproduce.estimator import Errors, pooled
from hotbed.reproduce.experiment import ARRIVALS, Outcome, Where
from hotbed.reproduce.findings import (
    Outcomes,
    beside,
    bound_words,
    bounds,
    order_agrees,
    rows,
)
from hotbed.reproduce.published import CLAIMS, ESTIMATOR
from hotbed.reproduce.tables import published_table, scheduler_table

HEADLINE = Where("opt-6.7b", "gsm8k", 1.4)


def outcomes(ratio: float, where: Where = HEADLINE) -> Outcomes:
    """P99s of about 10 s under ServerlessLLM, and `ratio` times that under Shepherd*."""
    base = {seed: Outcome(1.0, 10.0 + 0.1 * seed, 1.0, 1.4, False) for seed in range(10)}
    other = {
        seed: Outcome(1.2, ratio * (10.0 + 0.1 * seed), 1.0, 1.4, seed == 0) for seed in range(10)
    }
    return {where: {"serverlessllm": base, "shepherd_star": other}}


def test_every_published_number_has_a_tag_and_a_reason_for_either_side() -> None:
    assert all(claim.tag.startswith(("[N]", "[M]")) for claim in CLAIMS)
    assert all(claim.higher and claim.lower for claim in CLAIMS)
    assert all(bound.tag.startswith("[N]") for bound in ESTIMATOR)


def test_a_ratio_is_paired_over_seeds_and_theirs_is_found_within_our_interval() -> None:
    found = beside(rows(outcomes(1.27)))
    (claim,) = [b for b in found if b.claim.policy == "shepherd_star"]
    assert claim.ours is not None
    assert abs(claim.ours.estimate - 1.27) < 1e-9
    assert "within our interval" in claim.verdict
    assert "never settled in 1 of 10 seeds" in claim.verdict


def test_a_difference_is_said_with_its_likely_reason() -> None:
    found = beside(rows(outcomes(1.0)))
    (less,) = [b for b in found if b.claim.policy == "shepherd_star"]
    assert less.verdict.startswith("ours is 1.27 times less")
    assert less.claim.lower in less.verdict
    (unrun,) = [b for b in found if b.claim.policy == "serverless"]
    assert unrun.verdict == "this experiment was not run"


def test_what_never_settled_has_words_and_no_latency() -> None:
    stuck = {
        where: {
            policy: {s: msgspec.structs.replace(o, saturated=True) for s, o in own.items()}
            for policy, own in by_policy.items()
        }
        for where, by_policy in outcomes(1.27).items()
    }
    (claim,) = [b for b in beside(rows(stuck)) if b.claim.policy == "shepherd_star"]
    assert claim.verdict == "no latency to compare: the queue never settled in 10 of 10"
    console = Console(width=200, record=True, file=StringIO())
    console.print(published_table([claim]))
    console.print(scheduler_table(rows(stuck)))
    said = console.export_text()
    assert "never settled" in said
    assert "1.27 [" not in said


def test_another_arrival_process_is_not_compared_with_the_paper() -> None:
    other = Where("opt-6.7b", "gsm8k", 1.4, "cv 1")
    assert HEADLINE.arrivals == ARRIVALS
    assert all(b.ours is None for b in beside(rows(outcomes(1.27, other))))
    assert not order_agrees(rows(outcomes(1.27, other)))


def test_the_order_of_schedulers_is_said_by_intervals() -> None:
    (said,) = order_agrees(rows(outcomes(1.5)))
    assert said.endswith("shepherd_star 1 higher, serverless not run")


def test_estimator_errors_are_pooled_and_set_beside_the_bound() -> None:
    errors = pooled([{"dram": [(0.001, 0.1), (0.003, 0.3)]}, {"dram": [(0.002, 0.2)]}])
    assert errors["dram"] == Errors(
        3,
        0.002,
        0.002,
        errors["dram"].own_p95_s,
        0.2,
        errors["dram"].whole_mean_s,
        errors["dram"].whole_p95_s,
    )
    assert bound_words(bounds()["dram"], errors["dram"]).endswith("our mean of n / b is within it")
    slow = pooled([{"ssd": [(0.030, 0.1), (0.030, 0.3), (9.0, 9.0)]}])["ssd"]
    assert bound_words(bounds()["ssd"], slow).endswith("is within it, our mean is not")
    worse = pooled([{"ssd": [(1.0, 1.0)]}])["ssd"]
    assert bound_words(bounds()["ssd"], worse).endswith("ours is above it")
