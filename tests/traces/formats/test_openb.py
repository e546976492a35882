"""Alibaba openb: pods as jobs."""

import pytest

from traces.formats.content import Content
from traces.formats.detect import Format, detect, read_content
from traces.formats.openb import read
from traces.schema import TraceError

HEAD = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
    "deletion_time,scheduled_time"
)


def content(*lines: str) -> Content:
    return Content("openb.csv", "\n".join((HEAD, *lines, "")).encode())


def test_a_pod_runs_from_its_scheduling_on_its_part_of_a_gpu() -> None:
    pods = content(
        "p0,12000,16384,1,460,,LS,Running,10,160,12",
        "p1,12000,16384,8,1000,,BE,Failed,20,100,20",
        "p2,12000,16384,0,0,,BE,Succeeded,5,6,5",
    )
    assert detect(pods) == Format.OPENB
    jobs = read(pods)
    assert jobs.frame["submit_us"].tolist() == [5_000_000, 10_000_000, 20_000_000]
    assert jobs.frame["duration_s"].tolist() == [1.0, 148.0, 80.0]
    assert jobs.gpus.tolist() == pytest.approx([0, 0.46, 8])
    assert jobs.frame["preemptible"].tolist() == [True, False, True]
    assert jobs.frame["status"].tolist() == ["Succeeded", "Running", "Failed"]
    assert jobs.frame["extra"].tolist() == ["BE", "LS", "BE"]
    assert jobs.meta.columns_ignored == ("name", "cpu_milli", "memory_mib", "gpu_spec")
    with pytest.raises(TraceError, match="a trace of training jobs: expected requests"):
        read_content(pods, Format.OPENB, "m", 0)


def test_a_pod_that_was_never_scheduled_is_left_out_and_counted() -> None:
    jobs = read(content("p0,1,1,1,1000,,BE,Pending,10,160,", "p1,1,1,1,1000,,BE,Running,20,100,20"))
    assert jobs.frame["job_id"].tolist() == [1]
    assert jobs.meta.notes["duration_s"] == "1 jobs that never ran are left out"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p,1,1,1,1000,,BE,Running,10,5,12", "column 'deletion_time': -7.0 is not allowed"),
        ("p,1,1,x,1000,,BE,Running,10,5,1", "column 'num_gpu': 'x' is not allowed"),
        ("p,1,1,1,1000,,BE,Running,,5,1", "column 'creation_time': '' is not allowed"),
    ],
)
def test_a_bad_cell_is_refused_with_its_place(line: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(content(line))
    assert message in str(caught.value)
