"""Ours beside theirs: intervals over seeds, and in words where they differ and likely why."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np

from hotbed.reproduce.estimator import Errors
from hotbed.reproduce.experiment import ARRIVALS, SYSTEMS_RPS, Outcome, Where
from hotbed.reproduce.published import CLAIMS, ESTIMATOR, Bound, Claim
from traces.numerals import number
from traces.statistics import Interval, mean_interval, paired

REFERENCE: Final = "serverlessllm"

#: A run's outcome by experiment, policy and seed.
Outcomes: TypeAlias = dict[Where, dict[str, dict[int, Outcome]]]


class Beside(msgspec.Struct, frozen=True):
    """A published number and ours; `verdict` is a sentence. None: not run."""

    claim: Claim
    ours: Interval | None
    verdict: str


class Row(msgspec.Struct, frozen=True):
    """One experiment and policy: intervals over seeds, and the ratio of P99s to the reference."""

    size: str
    data: str
    rps: float
    arrivals: str
    policy: str
    offered_rps: Interval | None
    mean_s: Interval | None
    p99_s: Interval | None
    p99_ratio: Interval | None
    served: Interval | None
    saturated: int  # seeds in which the queue never settled
    seeds: int

    @property
    def settled(self) -> bool:
        """Whether the latencies mean more than how long the run was."""
        return 2 * self.saturated <= self.seeds


def rows(outcomes: Outcomes) -> list[Row]:
    return [
        _row(where, policy, by_policy)
        for where, by_policy in outcomes.items()
        for policy in by_policy
        if by_policy[policy]
    ]


def _row(where: Where, policy: str, by_policy: Mapping[str, Mapping[int, Outcome]]) -> Row:
    own = by_policy[policy]
    shared = sorted(set(own) & set(by_policy.get(REFERENCE, {})))
    ratio = None
    if policy != REFERENCE and shared:
        ours, theirs = (
            np.array([by_policy[name][seed].p99_s for seed in shared])
            for name in (policy, REFERENCE)
        )
        difference = paired(policy, REFERENCE, (ours, theirs), f"p99/{where}/{policy}")
        ratio = None if difference is None else difference.ratio
    return Row(
        size=where.size,
        data=where.data,
        rps=where.rps,
        arrivals=where.arrivals,
        policy=policy,
        offered_rps=_mean(own, lambda one: one.rps),
        mean_s=_mean(own, lambda one: one.mean_s),
        p99_s=_mean(own, lambda one: one.p99_s),
        p99_ratio=ratio,
        served=_mean(own, lambda one: one.served),
        saturated=sum(one.saturated for one in own.values()),
        seeds=len(own),
    )


def _mean(own: Mapping[int, Outcome], of: Callable[[Outcome], float]) -> Interval | None:
    return mean_interval(np.array([of(own[seed]) for seed in sorted(own)]))


def beside(found: Sequence[Row]) -> list[Beside]:
    """Every published number with ours, from the experiment that is nearest to it."""
    return [_beside(claim, found) for claim in CLAIMS]


def _beside(claim: Claim, found: Sequence[Row]) -> Beside:
    rps = SYSTEMS_RPS if claim.rps is None else claim.rps
    wanted = (claim.size, claim.data, rps, ARRIVALS, claim.policy)
    for row in found:
        if (row.size, row.data, row.rps, row.arrivals, row.policy) == wanted:
            ours: Interval | None = getattr(row, claim.measure)
            return Beside(claim, ours, _verdict(claim, ours, row))
    return Beside(claim, None, "this experiment was not run")


def _verdict(claim: Claim, ours: Interval | None, row: Row) -> str:
    if ours is None:
        return "nothing was measured"
    unsettled = f" (the queue never settled in {row.saturated} of {row.seeds} seeds)"
    settled = unsettled if row.saturated else ""
    if not row.settled and claim.measure != "served":
        return f"no latency to compare: the queue never settled in {row.saturated} of {row.seeds}"
    if ours.low is not None and ours.high is not None and ours.low <= claim.value <= ours.high:
        return f"theirs is within our interval{settled}"
    times = ours.estimate / claim.value
    reason = claim.higher if times > 1 else claim.lower
    more = "more" if times > 1 else "less"
    factor = number(times if times > 1 else 1 / times if times else float("inf"))
    return f"ours is {factor} times {more}{settled}; likely: {reason}"


def order_agrees(found: Sequence[Row]) -> list[str]:
    """Whether the schedulers come in the paper's order, experiment by experiment, in words."""
    said = []
    main = [row for row in found if row.arrivals == ARRIVALS]
    for size, data in dict.fromkeys((row.size, row.data) for row in main):
        own = [row for row in main if (row.size, row.data) == (size, data) and row.p99_ratio]
        worse = {p: _sure(own, p) for p in ("shepherd_star", "serverless")}
        told = ", ".join(f"{policy} {words}" for policy, words in worse.items())
        said.append(f"{size}, {data}: P99 against ServerlessLLM's, over all rates: {told}")
    return said


def _sure(own: Sequence[Row], policy: str) -> str:
    """How many rates the interval of the ratio lies above, below or across 1 at."""
    ratios = [row.p99_ratio for row in own if row.policy == policy and row.p99_ratio]
    above = sum(r.low is not None and r.low > 1 for r in ratios)
    below = sum(r.high is not None and r.high < 1 for r in ratios)
    open_ = len(ratios) - above - below
    parts = [(above, "higher"), (below, "lower"), (open_, "no difference shown")]
    return " / ".join(f"{count} {words}" for count, words in parts if count) or "not run"


def bound_words(bound: Bound, own: Errors) -> str:
    """Where our errors lie against the published bound."""
    told = f"published at most {number(1e3 * bound.at_most_s)} ms {bound.tag}; "
    if own.own_mean_s <= bound.at_most_s:
        return f"{told}our mean of n / b is within it"
    if own.own_p50_s <= bound.at_most_s:
        return f"{told}our median of n / b is within it, our mean is not"
    return f"{told}ours is above it"


def bounds() -> dict[str, Bound]:
    return {bound.source: bound for bound in ESTIMATOR}
