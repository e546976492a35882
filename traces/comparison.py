"""Runs of several policies over the same seeds, and the numbers that are compared.

Knows which numbers of a `Summary` matter in a comparison, which way is better and how they are
shown; the arithmetic is `traces.statistics`, the words are `traces.findings`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from traces.curves import Curves, curves_of
from traces.numerals import number
from traces.record import RunRecord
from traces.statistics import Comparison, Interval, compare, kendall_tau
from traces.summary import Summary, value_of


class Run(msgspec.Struct, frozen=True):
    """One policy under one seed. Keep `record` of the few runs whose timeline is wanted."""

    policy: str
    seed: int
    summary: Summary
    curves: Curves | None = None
    record: RunRecord | None = None


class Measure(msgspec.Struct, frozen=True):
    """A number of the summary by its path; `percent` shows a share as one."""

    path: str
    label: str
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"
    percent: bool = False


MEASURES: Final = (
    Measure("latency.ttft_s.p50", "TTFT p50", "s"),
    Measure("latency.ttft_s.p99", "TTFT p99", "s"),
    Measure("latency.tpot_s.p99", "TPOT p99", "s"),
    Measure("cold.ratio", "Cold requests", "%", percent=True),
    Measure("objective.attainment", "SLO attainment", "%", "higher", percent=True),
    Measure("objective.goodput_requests_per_s", "Goodput", "req/s", "higher"),
    Measure("cost.gpu_s_total", "GPU time held", "GPU-s"),
    Measure("cost.price_total", "Cost", "$"),
    Measure("cost.per_1k_requests", "Cost / 1k requests", "$"),
)
#: Shown where some run has them.
OPTIONAL_MEASURES: Final = (
    Measure("cold.adapter_ratio", "Adapter-cold requests", "%", percent=True),
    Measure("migrations.pause_s.p99", "Migration pause p99", "s"),
    Measure("tenants.jain_attainment", "Fairness (Jain, attainment)", "", "higher"),
)


class Row(msgspec.Struct, frozen=True):
    """One measure over all policies."""

    measure: Measure
    comparison: Comparison

    @property
    def best(self) -> str | None:
        """The policy with the best mean."""
        known = {
            name: mean.estimate for name, mean in self.comparison.means.items() if mean is not None
        }
        if not known:
            return None
        pick = min if self.measure.better == "lower" else max
        return pick(known, key=lambda name: known[name])


def run_of(
    policy: str, seed: int, record: RunRecord, summary: Summary, keep_record: bool = False
) -> Run:
    """A run with its curves; the record is dropped unless a timeline is wanted."""
    return Run(policy, seed, summary, curves_of(record), record if keep_record else None)


def policies_of(runs: Iterable[Run]) -> list[str]:
    """In order of their first run."""
    return list(dict.fromkeys(run.policy for run in runs))


def by_policy(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Each policy's runs by ascending seed, over the seeds that every policy has.

    Raises ValueError where a policy ran one seed twice or no seed is shared.
    """
    table: dict[str, dict[int, Run]] = {policy: {} for policy in policies_of(runs)}
    for run in runs:
        if run.seed in table[run.policy]:
            raise ValueError(f"policy {run.policy!r} has two runs of seed {run.seed}")
        table[run.policy][run.seed] = run
    shared = sorted(set.intersection(*(set(own) for own in table.values()))) if table else []
    if table and not shared:
        raise ValueError("the policies share no seed: there is nothing to pair")
    return {policy: [own[seed] for seed in shared] for policy, own in table.items()}


def compare_runs(runs: Sequence[Run], measures: Sequence[Measure] = MEASURES) -> list[Row]:
    """A row a measure, of the seeds that all policies have; optional ones where measured."""
    own_runs = by_policy(runs)
    rows = [_row(own_runs, measure) for measure in measures]
    extra = [_row(own_runs, measure) for measure in OPTIONAL_MEASURES]
    return rows + [row for row in extra if _worth_showing(row)]


def _row(own_runs: Mapping[str, Sequence[Run]], measure: Measure) -> Row:
    values = {
        policy: [value_of(run.summary, measure.path) for run in own]
        for policy, own in own_runs.items()
    }
    return Row(measure, compare(values, measure.path))


def _worth_showing(row: Row) -> bool:
    means = [mean for mean in row.comparison.means.values() if mean is not None]
    return any(mean.estimate for mean in means)


def shown(measure: Measure, interval: Interval | None) -> str:
    """The estimate with its bounds and unit."""
    if interval is None:
        return "-"
    scale, unit = (100.0, "%") if measure.percent else (1.0, measure.unit)
    text = number(interval.estimate * scale)
    if interval.low is not None and interval.high is not None:
        text += f" [{number(interval.low * scale)}, {number(interval.high * scale)}]"
    return f"{text} {unit}".rstrip()


def order_agreement(row: Row, runs: Sequence[Run]) -> float | None:
    """Mean Kendall tau-b of each seed's order of policies with the order of their means."""
    means = row.comparison.means
    own_runs = by_policy(runs)
    names = [name for name, mean in means.items() if mean is not None]
    seeds = len(next(iter(own_runs.values()), []))
    taus = []
    for i in range(seeds):
        values = [value_of(own_runs[name][i].summary, row.measure.path) for name in names]
        known = [(v, means[n]) for n, v in zip(names, values, strict=True) if v is not None]
        pairs = [(value, mean.estimate) for value, mean in known if mean is not None]
        tau = kendall_tau([value for value, _ in pairs], [mean for _, mean in pairs])
        if tau is not None:
            taus.append(tau)
    return sum(taus) / len(taus) if taus else None
