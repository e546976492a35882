"""The figures of a trace of jobs, and that the tables show them."""

import pytest
from rich.console import Console

from traces.describing.describe_jobs import describe_jobs, render_jobs
from traces.jobs import Jobs
from traces.workload import TraceMeta


def jobs() -> Jobs:
    columns = {
        "job_id": [0, 1, 2, 3],
        "submit_us": [0, 900_000_000, 1_800_000_000, 3_600_000_000],
        "tenant_id": ["a", "b", "a", None],
        "num_gpus": [1, 1, 8, 1],
        "gpu_frac": [0.5, None, None, None],
        "duration_s": [100.0, 50.0, 400.0, 50.0],
        "status": ["Pass", "Pass", "Killed", None],
    }
    return Jobs.of(columns, TraceMeta(source="made", trace_id="[four]"))


def test_the_figures_of_four_jobs() -> None:
    seen = describe_jobs(jobs())
    assert (seen.jobs, seen.tenants, seen.span_s, seen.rate_per_hour) == (4, 2, 3600, 4)
    assert seen.fraction_share == 0.25
    assert seen.busy_gpus == pytest.approx((50 + 50 + 3200 + 50) / 3600)
    assert [(of.gpus, of.jobs) for of in seen.gpu_counts] == [(1, 3), (8, 1)]
    assert seen.gpu_counts[1].gpu_s_share == pytest.approx(3200 / 3350)
    assert seen.duration_s["p50"] == 75
    assert seen.duration_s["longest"] == 400
    assert seen.status == {"Pass": 2, "Killed": 1}


def test_the_tables_show_them() -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render_jobs(describe_jobs(jobs())))
    text = captured.get()
    for word in ("4 jobs/h", "Pass 2, Killed 1", "95.5 %", "6.67 min", "25.0 %", "made"):
        assert word in text


def test_no_jobs_are_described_as_none() -> None:
    seen = describe_jobs(jobs().limit(0))
    assert (seen.jobs, seen.rate_per_hour, seen.busy_gpus, seen.duration_s) == (0, None, None, {})
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render_jobs(seen))
    assert "rate" not in captured.get()
