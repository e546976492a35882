"""The same requests under two policies: paired differences with intervals, and who gained.

`base` is the run as it was, `other` the counterfactual; both were run in the same worlds, one a
seed. Knows run records, no policy and no simulator. Differences are other - base.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from traces.asked.block_bootstrap import Blocks, Resampled, blocks_of, difference
from traces.asked.journal_difference import SAME_S
from traces.metrics import meets, ttft_s
from traces.record import Bools, Cold, Floats, Requests, RunRecord
from traces.statistics import Interval, paired
from traces.summary import Slo, Summary


class Change(msgspec.Struct, frozen=True):
    """One number on both sides, its paired difference and whether that excludes 0.

    `real` is None where there are too few blocks for an interval.
    """

    name: str
    unit: str  # "" is a share
    better: str  # "lower" or "higher"
    base: float | None  # None where only the difference means something
    other: float | None
    difference: Interval
    real: bool | None


class Gains(msgspec.Struct, frozen=True):
    """Shares of all requests, by time to the first token; of finished ones where not said."""

    sooner: float
    later: float
    same: float
    only_other_finished: float
    only_base_finished: float
    neither_finished: float


class Cost(msgspec.Struct, frozen=True):
    """Totals of a run, means over the worlds. The interval is over worlds, of five or more."""

    name: str
    unit: str
    base: float
    other: float
    difference: Interval


class Comparison(msgspec.Struct, frozen=True):
    """Everything that the pairs say. `method` is how the intervals were made, in words."""

    requests: int
    worlds: int
    changes: tuple[Change, ...]
    gains: Gains
    costs: tuple[Cost, ...]
    method: str
    notes: tuple[str, ...]


QUANTILES: Final = (("p50", 0.5), ("p99", 0.99))


class Columns(msgspec.Struct, frozen=True):
    """What is compared of one side, shape (worlds, n) each; nan where a request has no such time.

    `cold`, `finished` and `good` are shares' zeros and ones.
    """

    ttft_s: Floats
    e2e_s: Floats
    cold: Floats
    finished: Floats
    good: Floats


def columns_of(records: Sequence[RunRecord], slo: Slo, own_slo: dict[int, Slo]) -> Columns:
    """A row a world."""
    requests = [record.requests for record in records]
    return Columns(
        np.stack([ttft_s(one) for one in requests]),
        np.stack([_e2e_s(one) for one in requests]),
        np.stack([_of(one.cold == Cold.COLD) for one in requests]),
        np.stack([_of(one.finished) for one in requests]),
        np.stack([_of(meets(one, slo, own_slo)) for one in requests]),
    )


def _e2e_s(requests: Requests) -> Floats:
    """Arrival to the last token; nan unless finished."""
    return np.where(requests.finished, requests.ended_at - requests.arrived_at, np.nan)


def _of(mask: Bools) -> Floats:
    return mask.astype(np.float64)


def compared(
    requests: Requests, sides: tuple[Columns, Columns], sums: Sequence[tuple[Summary, Summary]]
) -> Comparison:
    """`requests` are those of any of the runs: their arrivals are the same in all.

    `sums` are the summaries of base and other, by world. Something must have arrived.
    """
    base, other = sides
    worlds = len(base.ttft_s)
    apart = other.ttft_s - base.ttft_s
    if np.isnan(apart).all():
        blocks = blocks_of(requests.arrived_at, other.finished[0] - base.finished[0])
    else:
        blocks = blocks_of(requests.arrived_at, _row_means(apart))
    resampled = Resampled(blocks, worlds)
    return Comparison(
        requests=len(requests),
        worlds=worlds,
        changes=tuple([*_latencies(resampled, base, other), *_shares(resampled, base, other)]),
        gains=_gains(base, other),
        costs=tuple(_costs(sums)),
        method=_method(blocks, resampled, worlds),
        notes=tuple(_notes(blocks, base, other)),
    )


def _row_means(apart: Floats) -> Floats:
    """By request, the mean over the worlds that know it."""
    known = ~np.isnan(apart)
    total, count = np.where(known, apart, 0.0).sum(axis=0), known.sum(axis=0)
    means: Floats = np.full(len(total), np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _latencies(resampled: Resampled, base: Columns, other: Columns) -> list[Change]:
    """Of the requests that finished on both sides."""
    changes = []
    for name, before, after in (
        ("TTFT", base.ttft_s, other.ttft_s),
        ("end to end", base.e2e_s, other.e2e_s),
    ):
        both = ~np.isnan(before + after)
        left, right = np.where(both, before, np.nan), np.where(both, after, np.nan)
        stats = {f"{name} mean": (resampled.mean(left), resampled.mean(right))}
        for label, q in QUANTILES:
            stats[f"{name} {label}"] = resampled.quantile(left, q), resampled.quantile(right, q)
        for label, (ours, theirs) in stats.items():
            apart = resampled.interval(difference(theirs, ours))
            values = resampled.value(ours), resampled.value(theirs)
            changes.append(_change(label, ("s", "lower"), values, apart))
        median = resampled.interval(resampled.quantile(right - left, 0.5))
        label = f"{name}, median of differences"
        changes.append(_change(label, ("s", "lower"), (None, None), median))
    return changes


def _shares(resampled: Resampled, base: Columns, other: Columns) -> list[Change]:
    """Of all requests."""
    changes = []
    for label, better, left, right in (
        ("cold requests", "lower", base.cold, other.cold),
        ("within objective", "higher", base.good, other.good),
        ("finished", "higher", base.finished, other.finished),
    ):
        apart = resampled.interval(resampled.mean(right - left))
        values = float(left.mean()), float(right.mean())
        changes.append(_change(label, ("", better), values, apart))
    return changes


def _change(
    name: str, unit: tuple[str, str], values: tuple[float | None, float | None], apart: Interval
) -> Change:
    real = None
    if apart.low is not None and apart.high is not None:
        real = not apart.low <= 0 <= apart.high
    return Change(name, *unit, *values, apart, real)


def _gains(base: Columns, other: Columns) -> Gains:
    apart = other.ttft_s - base.ttft_s
    ours, theirs = base.finished > 0, other.finished > 0
    return Gains(
        sooner=float((apart < -SAME_S).mean()),
        later=float((apart > SAME_S).mean()),
        same=float((np.abs(apart) <= SAME_S).mean()),
        only_other_finished=float((theirs & ~ours).mean()),
        only_base_finished=float((ours & ~theirs).mean()),
        neither_finished=float((~ours & ~theirs).mean()),
    )


def _costs(sums: Sequence[tuple[Summary, Summary]]) -> list[Cost]:
    costs = []
    for name, unit in (("gpu_s_total", "GPU-s"), ("price_total", "$")):
        left = np.array([getattr(before.cost, name) for before, _ in sums], np.float64)
        right = np.array([getattr(after.cost, name) for _, after in sums], np.float64)
        apart = paired("other", "base", (right, left), f"counterfactual/{name}")
        assert apart is not None, "every run has a cost"
        label = "GPU time held" if unit == "GPU-s" else "cost"
        costs.append(Cost(label, unit, float(left.mean()), float(right.mean()), apart.difference))
    return costs


def _method(blocks: Blocks, resampled: Resampled, worlds: int) -> str:
    drawn = f"whole blocks of {blocks.each_s:,.4g} s of arrivals are drawn ({resampled.blocks})"
    if worlds > 1:
        drawn += f", and with them the {worlds} worlds"
    return (
        f"95 % intervals by block bootstrap: requests of one run depend on each other, so {drawn}; "
        "both policies always have the same requests. Latencies are of the requests that finished "
        "on both sides, shares of all. Each row is judged by itself, without a correction for many "
        "rows."
    )


def _notes(blocks: Blocks, base: Columns, other: Columns) -> list[str]:
    notes = []
    if not blocks.independent:
        notes.append(
            f"neighbouring blocks still move together (correlation {blocks.correlation:.2f}): the "
            "intervals are too narrow; a longer run would say more"
        )
    unpaired = float((np.isnan(base.ttft_s + other.ttft_s)).mean())
    if unpaired > 0.01:
        notes.append(
            f"{unpaired:.1%} of the requests did not finish on both sides and are in no latency: "
            "read the shares"
        )
    return notes
