import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traces.formats.azure_functions import MINUTE_US, read_csv, read_parquet
from traces.formats.content import Content
from traces.schema import TraceError

HEADER = "HashOwner,HashApp,HashFunction,Trigger,480,481,482\n"


def _csv(rows: str, header: str = HEADER) -> Content:
    return Content("day.csv", (header + rows).encode())


def _parquet(**columns: object) -> Content:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return Content("day.parquet", sink.getvalue())


def test_counts_of_each_function_and_minute_are_read() -> None:
    minutes = read_csv(_csv("o,a,f1,http,1,0,2\no,a,f2,timer,0,3,0\n"))
    assert minutes.functions == ("f1", "f2")
    assert minutes.counts.tolist() == [[1, 0, 2], [0, 3, 0]]
    assert (minutes.first_minute, minutes.minutes, minutes.invocations) == (480, 3, 6)
    assert minutes.meta.columns_used == ("HashFunction", "480..482")
    assert minutes.meta.columns_ignored == ("HashOwner", "HashApp", "Trigger")


def test_a_function_with_two_triggers_keeps_both_rows() -> None:
    minutes = read_csv(_csv("o,a,f,http,1,0,0\no,a,f,timer,0,1,0\n"))
    assert minutes.functions == ("f", "f#2")


def test_the_parquet_form_holds_the_same() -> None:
    minutes = read_parquet(_parquet(function=["f1", "f2"], **{"1": [1, 0], "2": [0, 5]}))
    assert minutes.counts.tolist() == [[1, 0], [0, 5]]
    assert minutes.first_minute == 1


def test_every_invocation_is_spread_within_its_minute() -> None:
    minutes = read_csv(_csv("o,a,f1,http,50,0,20\no,a,f2,timer,0,30,0\n"))
    work = minutes.spread(seed=1)
    work.validate()
    minute = work.frame["arrival_us"].to_numpy() // MINUTE_US
    for row, function in enumerate(minutes.functions):
        of_function = minute[(work.frame["model_id"] == function).to_numpy()]
        assert np.bincount(of_function, minlength=3).tolist() == minutes.counts[row].tolist()
    assert "arrival_us" in work.meta.synthetic_fields
    assert work.frame.equals(minutes.spread(seed=1).frame)
    assert not work.frame.equals(minutes.spread(seed=2).frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_csv("o,a,f,http,1,x,2\n"), "day.csv, row 1, column '481': 'x'"),
        (_csv("o,a,f,http,1,2,-1\n"), "day.csv, row 1, column '482': '-1'"),
        (_csv("o,a,f,http,1,2,3000000000\n"), "day.csv, row 1, column '482': '3000000000'"),
        (_csv("o,a,,http,1,2,3\n"), "day.csv, row 1, column 'HashFunction': None"),
        (_csv("f,1,1\n", "HashFunction,1,3\n"), "day.csv, column '3': '3'"),
    ],
)
def test_malformed_counts_are_refused(content: Content, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read_csv(content)
    assert str(caught.value).startswith(message)


def test_malformed_parquet_counts_are_refused() -> None:
    with pytest.raises(TraceError, match="row 2, column '1': -4"):
        read_parquet(_parquet(function=["f", "g"], **{"1": [1, -4]}))
    with pytest.raises(TraceError, match="column '1': 'double'"):
        read_parquet(_parquet(function=["f"], **{"1": [0.5]}))


def test_more_invocations_than_memory_holds_are_not_spread() -> None:
    minutes = read_csv(_csv("o,a,f,http,2000000000,0,0\n"))
    with pytest.raises(TraceError, match="day: 2,000,000,000 invocations are too many"):
        minutes.spread(seed=0)
