import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from tests.traces.workloads import small, workloads
from traces.formats.content import Content
from traces.formats.normalised import read, write
from traces.schema import TraceError
from traces.workload import TraceMeta, Workload


def _content(columns: dict[str, Any], meta: object = None) -> Content:
    table = pa.table(columns)
    if meta is not None:
        text = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
        table = table.replace_schema_metadata({b"trace_meta": text})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return Content("made.parquet", sink.getvalue())


ROWS: dict[str, Any] = {"request_id": [0, 1], "arrival_us": [0, 5], "model_id": ["a", "b"]}


def _same_but_for_the_file(meta: TraceMeta) -> TraceMeta:
    return msgspec.structs.replace(meta, columns_used=(), columns_ignored=())


@given(work=workloads())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_back_exactly(tmp_path: Path, work: Workload) -> None:
    path = tmp_path / "work.parquet"
    write(work, path)
    back = read(Content.of(path))
    pd.testing.assert_frame_equal(back.frame, work.frame, check_exact=True)
    assert _same_but_for_the_file(back.meta) == work.meta
    assert back.meta.columns_used == tuple(work.frame)


def test_the_same_workload_is_the_same_bytes(tmp_path: Path) -> None:
    work = small(arrival_us=[0, 1], tenant_id=["t", None])
    for name in ("a", "b"):
        write(Workload(work.frame, TraceMeta(trace_id="t")), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_workload_without_requests_is_written_and_read(tmp_path: Path) -> None:
    write(small(arrival_us=[1]).limit(0), tmp_path / "none.parquet")
    assert len(read(Content.of(tmp_path / "none.parquet"))) == 0


def test_a_column_of_another_tool_is_ignored_and_named() -> None:
    work = read(_content(ROWS | {"colour": ["red", None]}))
    assert work.meta.columns_ignored == ("colour",)
    assert work.meta.columns_used == ("request_id", "arrival_us", "model_id")


def test_meta_data_that_is_not_ours_becomes_notes() -> None:
    work = read(_content(ROWS, {"licence": "L", "rows": 2, "split": "dev", "cv": 8, "seed": 3}))
    assert (work.meta.licence, work.meta.seed) == ("L", 3)
    assert work.meta.notes == {"split": "dev", "cv": "8"}
    assert work.meta.source == "made.parquet"


def test_the_trace_is_named_by_its_column_or_its_file() -> None:
    assert read(_content(ROWS | {"trace_id": ["t", "t"]})).meta.trace_id == "t"
    assert read(_content(ROWS)).meta.trace_id == "made"


def test_the_step_of_the_stamps_is_found_where_the_meta_data_is_silent() -> None:
    seconds = ROWS | {"arrival_us": [0, 3_000_000]}
    assert read(_content(seconds)).meta.time_quantum_us == 1_000_000
    assert read(_content(seconds, {"time_quantum_us": 0})).meta.time_quantum_us == 0
    assert read(_content(ROWS)).meta.time_quantum_us == 0


def test_requests_without_a_model_are_kept_and_counted() -> None:
    work = read(_content(ROWS | {"model_id": pa.array(["a", None])}))
    assert work.models() == ("a", "unknown")
    assert "model_id" in work.meta.notes


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"arrival_us": [0, -5]}, "made.parquet, row 2, column 'arrival_us': -5"),
        ({"arrival_us": [0.0, 0.5]}, "made.parquet, row 2, column 'arrival_us': 0.5"),
        ({"arrival_us": ["0", "1"]}, "made.parquet, row 1, column 'arrival_us': '0'"),
        ({"request_id": [3, 3]}, "made.parquet, row 2, column 'request_id': 3"),
        ({"model_id": [1, 2]}, "made.parquet, row 1, column 'model_id': 1"),
        ({"service_s": [1.0, -1.0]}, "made.parquet, row 2, column 'service_s': -1.0"),
        ({"prompt_tokens": [2**40, 1]}, "made.parquet, row 1, column 'prompt_tokens': 1099511"),
        ({"adapter_ids": [["a"], [""]]}, "made.parquet, row 2, column 'adapter_ids': ['']"),
    ],
)
def test_a_malformed_cell_is_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(_content(ROWS | columns))
    assert str(caught.value).startswith(message)


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(TraceError, match=r"made\.parquet, column 'model_id'"):
        read(_content({name: ROWS[name] for name in ("request_id", "arrival_us")}))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (b"no json", "trace_meta b'no json' is not allowed: expected a JSON object"),
        ([1], "trace_meta b'"),
        ({"time_quantum_us": "coarse"}, "trace_meta: Expected `int`, got `str` - at `$.time_q"),
        ({"notes": {"a": 1}}, "trace_meta: Expected `str`, got `int`"),
    ],
)
def test_malformed_meta_data_is_refused(meta: object, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(_content(ROWS, meta))
    assert str(caught.value).startswith(f"made.parquet: {message}")


def test_a_file_that_is_cut_short_is_refused() -> None:
    whole = _content(ROWS).data
    with pytest.raises(TraceError, match=r"made\.parquet: no readable parquet"):
        read(Content("made.parquet", whole[: len(whole) // 2]))
