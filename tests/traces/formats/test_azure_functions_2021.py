"""Azure Functions 2021: invocations by their end and duration."""

import pytest

from traces.formats.azure_functions_2021 import read, read_minutes
from traces.formats.content import Content
from traces.schema import TraceError

TEXT = """app,func,end_timestamp,duration
a,f,10.5,0.25
a,g,65.0,64.0
b,f,130.0,1.5
"""


def content(text: str = TEXT) -> Content:
    return Content("azure2021.csv", text.encode())


def test_an_invocation_arrived_when_it_had_not_run_yet() -> None:
    work = read(content())
    assert work.frame["arrival_us"].tolist() == [1_000_000, 10_250_000, 128_500_000]
    assert work.frame["service_s"].tolist() == [64.0, 0.25, 1.5]
    assert work.frame["model_id"].tolist() == ["a/g", "a/f", "b/f"]
    assert work.tenants() == ("a", "b")
    assert work.meta.notes["arrival_us"] == "end_timestamp - duration"
    assert "prompt_tokens" not in work.frame


def test_what_began_before_the_trace_s_time_0_moves_it() -> None:
    work = read(content("app,func,end_timestamp,duration\na,f,1.0,3.0\na,f,4.0,1.0\n"))
    assert work.frame["arrival_us"].tolist() == [0, 5_000_000]
    assert work.meta.notes["clock"] == "time 0 is 2 s before the trace's own"


def test_minutes_count_the_arrivals_of_each_function() -> None:
    minutes = read_minutes(content())
    assert minutes.functions == ("a/f", "a/g", "b/f")
    assert minutes.counts.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert minutes.invocations == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,f,x,1", "row 1, column 'end_timestamp': 'x'"),
        ("a,f,2,-1", "row 1, column 'duration': '-1'"),
        (",f,2,1", "row 1, column 'app': None"),
    ],
)
def test_a_bad_cell_is_refused_with_its_place(line: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(content(f"app,func,end_timestamp,duration\n{line}\n"))
    assert message in str(caught.value)


def test_a_trace_of_centuries_has_no_minutes() -> None:
    with pytest.raises(TraceError, match="at most a year of minutes"):
        read_minutes(content("app,func,end_timestamp,duration\na,f,1,0\na,f,9e9,1\n"))
