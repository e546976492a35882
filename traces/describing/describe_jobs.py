"""What a trace of training jobs holds, in numbers and as tables for the terminal.

It knows jobs. It knows no request and no fleet.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table

from traces.describing.burstiness import interarrival_cv
from traces.describing.describe import Provenance, provenance_of
from traces.describing.describe_table import number, percent, provenance_table, span_text
from traces.jobs import Jobs
from traces.workload import US_PER_S

QUANTILES = (5, 25, 50, 75, 90, 95, 99)


class GpuCount(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one number of GPUs, with their share of all GPU-seconds."""

    gpus: int
    jobs: int
    gpu_s_share: float


class JobsDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one trace of jobs; JSON-able. Times in seconds.

    `span_s` is from time 0 to the last submission, `cv` that of the gaps between submissions.
    `fraction_share`: of the jobs, those that take a part of one GPU. `busy_gpus`: GPUs that the
    jobs would keep busy on average over the span. `duration_s` has the quantiles of `QUANTILES`
    and the mean, and the longest.
    """

    name: str
    jobs: int
    tenants: int
    span_s: float
    rate_per_hour: float | None
    cv: float | None
    fraction_share: float
    busy_gpus: float | None
    gpu_counts: tuple[GpuCount, ...]
    duration_s: dict[str, float]
    status: dict[str, int]
    provenance: Provenance


def describe_jobs(jobs: Jobs) -> JobsDescription:
    """All figures; a trace without jobs has zeros and Nones."""
    frame, span_s = jobs.frame, jobs.span_s
    part = (jobs.gpus > 0) & (jobs.gpus < 1)
    return JobsDescription(
        name=jobs.meta.trace_id or jobs.meta.source or "jobs",
        jobs=len(jobs),
        tenants=int(frame["tenant_id"].nunique()) if "tenant_id" in frame else 0,
        span_s=span_s,
        rate_per_hour=3600 * len(jobs) / span_s if span_s else None,
        cv=interarrival_cv(frame["submit_us"].to_numpy() / US_PER_S),
        fraction_share=float(part.mean()) if len(jobs) else 0.0,
        busy_gpus=jobs.load(1),
        gpu_counts=_gpu_counts(jobs),
        duration_s=_quantiles(frame["duration_s"].to_numpy()),
        status=_counted(frame["status"].dropna().tolist()) if "status" in frame else {},
        provenance=provenance_of(frame, jobs.meta),
    )


def render_jobs(seen: JobsDescription) -> Group:
    """Everything on one screen; figures that are unknown take no row."""
    parts = [_overview(seen), _sizes(seen)]
    if seen.duration_s:
        table = Table(title="Durations", title_justify="left", title_style="bold")
        table.show_header = False
        for name, duration_s in seen.duration_s.items():
            table.add_row(name, span_text(duration_s))
        parts.append(table)
    return Group(*parts, provenance_table(seen.provenance))


def _overview(seen: JobsDescription) -> Table:
    table = Table(title=seen.name, title_justify="left", title_style="bold", show_header=False)
    rows = {
        "jobs": f"{seen.jobs:,}",
        "tenants": f"{seen.tenants:,}" if seen.tenants else "-",
        "span": span_text(seen.span_s),
        "rate": f"{number(seen.rate_per_hour)} jobs/h",
        "CV of gaps": number(seen.cv),
        "jobs on a part of one GPU": percent(seen.fraction_share),
        "GPUs busy on average": number(seen.busy_gpus),
        "status": ", ".join(f"{name} {count:,}" for name, count in seen.status.items()) or "-",
    }
    for name, value in rows.items():
        if not value.startswith("-"):
            table.add_row(name, value)
    return table


def _sizes(seen: JobsDescription) -> Table:
    table = Table(title="Sizes", title_justify="left", title_style="bold")
    for name in ("GPUs", "jobs", "share of GPU time"):
        table.add_column(name, justify="right")
    for of in seen.gpu_counts:
        table.add_row(f"{of.gpus:,}", f"{of.jobs:,}", percent(of.gpu_s_share))
    return table


def _gpu_counts(jobs: Jobs) -> tuple[GpuCount, ...]:
    needed = jobs.frame["num_gpus"].to_numpy()
    gpu_s = jobs.gpu_s
    total = float(gpu_s.sum()) or 1.0
    return tuple(
        GpuCount(
            gpus=int(gpus),
            jobs=int((needed == gpus).sum()),
            gpu_s_share=float(gpu_s[needed == gpus].sum()) / total,
        )
        for gpus in np.unique(needed)
    )


def _quantiles(duration_s: NDArray[np.float64]) -> dict[str, float]:
    if not len(duration_s):
        return {}
    values = np.percentile(duration_s, QUANTILES).tolist()
    named = {f"p{quantile}": value for quantile, value in zip(QUANTILES, values, strict=True)}
    return {"mean": float(duration_s.mean()), **named, "longest": float(duration_s.max())}


def _counted(names: list[str]) -> dict[str, int]:
    """Most frequent first."""
    values, counts = np.unique(np.asarray(names, dtype=object), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(values[row]): int(counts[row]) for row in order}
