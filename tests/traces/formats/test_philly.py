"""Philly: training jobs, as ElasticFlow carries them."""

import pytest

from traces.formats.content import Content
from traces.formats.detect import Format, detect
from traces.formats.philly import read
from traces.schema import TraceError


def content(*lines: str) -> Content:
    head = "timestamp,duration,num_gpus,gpu_time,cluster"
    return Content("philly.csv", "\n".join((head, *lines, "")).encode())


def test_jobs_count_from_the_first_submission() -> None:
    jobs = content("2017-09-04 10:30:41,120,8,960,7f04ca", "2017-09-04 10:31:41,60.5,1,60.5,6214e9")
    assert detect(jobs) == Format.PHILLY
    read_jobs = read(jobs)
    assert read_jobs.frame["submit_us"].tolist() == [0, 60_000_000]
    assert read_jobs.frame["tenant_id"].tolist() == ["7f04ca", "6214e9"]
    assert read_jobs.gpu_s.tolist() == [960.0, 60.5]
    assert read_jobs.meta.columns_ignored == ("gpu_time",)
    assert read_jobs.meta.time_quantum_us == 1_000_000


def test_a_bad_cell_is_refused_with_its_place() -> None:
    with pytest.raises(TraceError, match=r"row 1, column 'timestamp': 'soon' is not allowed"):
        read(content("soon,120,8,960,7f04ca"))
    with pytest.raises(TraceError, match=r"row 2, column 'duration': '' is not allowed"):
        read(content("2017-09-04 10:30:41,1,1,1,a", "2017-09-04 10:30:42,,1,1,a"))
