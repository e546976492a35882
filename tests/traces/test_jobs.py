"""Training jobs: their schema, and cuts and scales for a fleet."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.jobs import Jobs
from traces.schema import TraceError
from traces.workload import TraceMeta


def jobs(**columns: list[Any]) -> Jobs:
    made: dict[str, Any] = {
        "job_id": [0, 1, 2, 3],
        "submit_us": [0, 10_000_000, 20_000_000, 40_000_000],
        "num_gpus": [1, 8, 0, 1],
        "duration_s": [100.0, 50.0, 10.0, 400.0],
        "gpu_frac": [0.5, None, None, None],
    }
    return Jobs.of(made | columns, TraceMeta(source="made", time_quantum_us=1_000_000))


def test_gpu_seconds_count_the_part_of_a_gpu() -> None:
    made = jobs()
    assert made.gpus.tolist() == [0.5, 8, 0, 1]
    assert made.gpu_s.tolist() == [50, 400, 0, 400]
    assert made.span_s == 40
    assert made.load(8) == pytest.approx(850 / 320)


def test_jobs_are_sorted_by_submission() -> None:
    made = jobs(submit_us=[5, 4, 3, 2])
    assert made.frame["job_id"].tolist() == [3, 2, 1, 0]


def test_durations_keep_every_second() -> None:
    made = jobs(duration_s=[4_628_230.25, 1.0, 1.0, 1.0])
    assert made.frame["duration_s"].iloc[0] == 4_628_230.25


def test_jobs_of_a_fleet_need_a_gpu_and_no_more_than_there_are() -> None:
    fitting = jobs().fitting(4)
    assert fitting.frame["num_gpus"].tolist() == [1, 1]
    assert fitting.meta.notes["fitting"] == "1 to 4 GPUs: 2 of 4 jobs"


def test_a_slice_moves_time_0_and_deadlines() -> None:
    late = jobs(deadline_us=[None, 30_000_000, None, 90_000_000]).between(5.0, 20.0)
    assert late.frame["submit_us"].tolist() == [5_000_000, 15_000_000]
    assert late.frame["deadline_us"].tolist()[0] == 25_000_000
    assert jobs().between(1.0).frame["job_id"].tolist() == [1, 2, 3]


def test_fine_tuning_stand_ins_are_told_by_how_long_they_last() -> None:
    assert jobs().lasting(60.0, 14_400.0).frame["job_id"].tolist() == [0, 3]


@given(load=st.floats(0.01, 50), gpus=st.integers(1, 64))
@settings(max_examples=30, deadline=None)
def test_submissions_are_scaled_to_a_load(load: float, gpus: int) -> None:
    made = jobs(deadline_us=[200_000_000, None, None, None])
    scaled = made.at_load(gpus, load)
    assert scaled.load(gpus) == pytest.approx(load, rel=1e-3)
    assert scaled.gpu_s.tolist() == made.gpu_s.tolist()
    first = scaled.frame.iloc[0]
    assert first["deadline_us"] - first["submit_us"] == 200_000_000
    assert scaled.meta.time_compression == pytest.approx(load / 850 * 40 * gpus)


def test_the_first_so_many_jobs_are_kept() -> None:
    assert len(jobs().limit(2)) == 2
    assert len(jobs().limit(9)) == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"duration_s": [-1.0, 1.0, 1.0, 1.0]}, "row 1, column 'duration_s': -1.0 is not allowed"),
        ({"duration_s": [1.0, None, 1.0, 1.0]}, "row 2, column 'duration_s': None is not allowed"),
        ({"num_gpus": [1, 1, 1, 2**15]}, "row 4, column 'num_gpus': 32768 is not allowed"),
        (
            {"job_id": [1, 2, 1, 3]},
            "row 3, column 'job_id': 1 is not allowed: expected each job_id",
        ),
        ({"preemptible": ["no", None, None, None]}, "column 'preemptible': 'no' is not allowed"),
        ({"method": ["lora", None, "ptq", None]}, "column 'method': 'ptq' is not allowed"),
        ({"arrival_us": [0] * 4}, "column 'arrival_us': 'the column' is not allowed"),
    ],
)
def test_what_breaks_the_schema_is_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError) as caught:
        jobs(**columns)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda made: made.at_load(8, 0), "load: 0 is not allowed"),
        (lambda made: made.limit(0).at_load(8, 1.0), "load: 1.0 is not allowed"),
        (lambda made: made.between(-1.0), "start: -1.0 is not allowed"),
        (lambda made: made.between(0.0, 0.0), "duration: 0.0 is not allowed"),
        (lambda made: made.lasting(5.0, 4.0), r"lasting: \(5.0, 4.0\) is not allowed"),
        (lambda made: made.fitting(0), "gpus: 0 is not allowed"),
        (lambda made: made.limit(-1), "limit: -1 is not allowed"),
    ],
)
def test_a_cut_that_makes_no_sense_is_refused(cut: Any, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        cut(jobs())
