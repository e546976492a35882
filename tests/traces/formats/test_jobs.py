"""Normalised parquet of training jobs: what is written is read again."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traces.formats import jobs
from traces.formats.content import Content
from traces.formats.detect import Format, detect, read_jobs, read_trace, read_workload
from traces.jobs import Jobs
from traces.schema import TraceError
from traces.workload import TraceMeta


def made() -> Jobs:
    columns = {
        "job_id": [7, 8],
        "submit_us": [0, 1_500_000],
        "tenant_id": ["a", None],
        "method": ["lora", "full"],
        "num_gpus": [1, 4],
        "gpu_frac": [0.5, None],
        "duration_s": [12.25, 4e6],
        "priority": [None, 3],
        "preemptible": [True, None],
    }
    return Jobs.of(columns, TraceMeta(source="made", synthetic_fields=("method",)))


def test_jobs_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    jobs.write(made(), path)
    again = read_jobs(path)
    pd.testing.assert_frame_equal(again.frame, made().frame)
    assert again.meta.source == "made"
    assert again.meta.synthetic_fields == ("method",)
    assert isinstance(read_trace(path), Jobs)
    assert detect(Content.of(path)) == Format.JOBS


def test_a_trace_of_jobs_holds_no_requests_and_the_other_way_round(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    jobs.write(made(), path)
    with pytest.raises(TraceError, match="a trace of training jobs: expected requests"):
        read_workload(path)
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n2,3,4\n")
    with pytest.raises(TraceError, match="a vidur trace: expected training jobs"):
        read_jobs(path)


def parquet(path: Path, **columns: list[object]) -> Content:
    pq.write_table(pa.table(columns), path)
    return Content.of(path)


def test_jobs_that_never_ran_are_left_out_and_counted(tmp_path: Path) -> None:
    content = parquet(
        tmp_path / "j.parquet",
        job_id=[0, 1, 2],
        submit_us=[0, 5, 9],
        num_gpus=[1, 1, 2],
        duration_s=[1.0, None, 2.0],
        queue=["x", "x", "y"],
    )
    read = jobs.read(content)
    assert read.frame["job_id"].tolist() == [0, 2]
    assert read.meta.notes["duration_s"] == "1 jobs that never ran are left out"
    assert read.meta.columns_ignored == ("queue",)


def test_stamps_of_whole_seconds_are_said_to_be_so(tmp_path: Path) -> None:
    content = parquet(
        tmp_path / "j.parquet",
        job_id=[0, 1],
        submit_us=[0, 3_000_000],
        num_gpus=[1, 1],
        duration_s=[1.0, 1.0],
    )
    assert jobs.read(content).meta.time_quantum_us == 1_000_000


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="column 'num_gpus': 'no such column' is not allowed"):
        jobs.read(parquet(tmp_path / "j.parquet", job_id=[0], submit_us=[0], duration_s=[1.0]))
