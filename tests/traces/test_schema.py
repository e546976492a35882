import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from traces.schema import COLUMNS, TraceError, canonical_frame, is_missing, refusal


def _frame(**columns: Any) -> pd.DataFrame:
    size = len(next(iter(columns.values())))
    filled = {"request_id": range(size), "arrival_us": [0] * size, "model_id": ["m"] * size}
    return canonical_frame(filled | columns, "made.csv")


def test_rows_are_sorted_by_arrival_then_by_id() -> None:
    frame = _frame(request_id=[5, 1, 2], arrival_us=[7, 7, 3])
    assert frame["request_id"].tolist() == [2, 1, 5]
    assert frame.index.tolist() == [0, 1, 2]


def test_columns_come_in_the_order_of_the_schema_with_its_types() -> None:
    frame = _frame(status=["ok"], turn=[1], service_s=[0.5], prompt_tokens=[3])
    assert list(frame) == [name for name in COLUMNS if name in frame]
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert kinds["arrival_us"] == "int64"
    assert kinds["turn"] == kinds["prompt_tokens"] == "Int32"
    assert kinds["service_s"] == "float32"


def test_an_optional_column_without_a_value_is_left_out() -> None:
    frame = _frame(turn=[None, None], service_s=[math.nan, math.nan], slo_class=[None, None])
    assert list(frame) == ["request_id", "arrival_us", "model_id", "adapter_ids"]


def test_a_missing_adapter_set_is_the_empty_one() -> None:
    frame = _frame(adapter_ids=[None, ["a"], np.array(["b", "c"])])
    assert frame["adapter_ids"].tolist() == [(), ("a",), ("b", "c")]
    assert _frame(turn=[1])["adapter_ids"].tolist() == [()]


def test_integers_beyond_the_precision_of_a_double_stay_exact() -> None:
    big = 2**53 + 1
    frame = _frame(
        request_id=[1, big], think_time_us=[big, None], prefix_hash_ids=[[big, -(2**63)], None]
    )
    assert frame["request_id"].tolist() == [1, big]
    assert frame["think_time_us"].tolist()[0] == big
    assert frame["prefix_hash_ids"].tolist() == [(big, -(2**63)), None]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("request_id", -1),
        ("request_id", None),
        ("arrival_us", 1.5),
        ("arrival_us", math.inf),
        ("arrival_us", 2**63),
        ("arrival_us", "soon"),
        ("turn", 2**31),
        ("block_size", 2**15),
        ("prompt_tokens", -3),
        ("model_id", None),
        ("model_id", ""),
        ("tenant_id", 7),
        ("adapter_ids", "lora"),
        ("adapter_ids", ["lora", ""]),
        ("adapter_ids", [3]),
        ("adapter_scales", [math.nan]),
        ("adapter_scales", 1.0),
        ("prefix_hash_ids", [0.5]),
        ("prefix_hash_ids", [2**63]),
        ("service_s", -0.1),
        ("service_s", math.inf),
        ("service_s", "1"),
    ],
)
def test_a_cell_outside_the_schema_is_refused_in_one_line(column: str, value: object) -> None:
    good: dict[str, object] = {
        "request_id": 0, "arrival_us": 0, "turn": 0, "block_size": 1, "prompt_tokens": 1,
        "model_id": "m", "tenant_id": "t", "adapter_ids": ["a"], "adapter_scales": [1.0],
        "prefix_hash_ids": [1], "service_s": 1.0,
    }  # fmt: skip
    with pytest.raises(TraceError) as caught:
        _frame(**{column: [good[column], value]})
    line = str(caught.value)
    assert line.startswith(f"made.csv, row 2, column '{column}': ")
    assert "expected" in line
    assert "\n" not in line


def test_a_request_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(TraceError, match="row 3, column 'request_id': 4"):
        _frame(request_id=[4, 5, 4])


def test_as_many_scales_as_adapters_are_wanted() -> None:
    with pytest.raises(TraceError, match=r"row 1, column 'adapter_scales'.*expected 2 scales"):
        _frame(adapter_ids=[["a", "b"]], adapter_scales=[[1.0]])


def test_a_column_that_the_schema_does_not_have_is_refused() -> None:
    with pytest.raises(TraceError, match="column 'prompt_length'"):
        _frame(prompt_length=[3])


def test_a_required_column_that_is_absent_is_refused() -> None:
    with pytest.raises(TraceError, match=r"column 'arrival_us'.*no such column"):
        canonical_frame({"request_id": [1], "model_id": ["m"]}, "made.csv")


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(str(refusal("f", 1, "c", "x" * 10_000, "less"))) < 120


def test_nan_of_any_width_is_missing_and_zero_is_not() -> None:
    missing: list[object] = [None, pd.NA, pd.NaT, math.nan, np.float32("nan")]
    assert all(map(is_missing, missing))
    there: list[object] = [0, 0.0, "", (), np.float32(0)]
    assert not any(map(is_missing, there))
