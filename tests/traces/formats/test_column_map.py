import pytest

from traces.formats.column_map import KNOWN, ColumnMap, read
from traces.formats.content import Content
from traces.schema import TraceError
from traces.workload import Workload


def _read(text: str, columns: str) -> Workload:
    return read(Content("any.csv", text.encode()), ColumnMap.parse(columns), "fallback")


@pytest.mark.parametrize(
    ("unit", "cell"),
    [("s", "2.5"), ("ms", "2500"), ("us", "2500000"), ("timestamp", "2024-05-12 00:00:02.5")],
)
def test_the_arrival_is_read_in_its_unit(unit: str, cell: str) -> None:
    start = "2024-05-12 00:00:00" if unit == "timestamp" else "0"
    work = _read(f"ts,in\n{start},4\n{cell},5\n", f"arrival_{unit}=ts,prompt_tokens=in")
    assert work.frame["arrival_us"].tolist() == [0, 2_500_000]
    assert work.frame["prompt_tokens"].tolist() == [4, 5]


def test_columns_used_and_ignored_are_recorded() -> None:
    work = _read("ts,x,in\n1,a,2\n", "arrival_s=ts,prompt_tokens=in")
    assert work.meta.columns_used == ("ts", "in")
    assert work.meta.columns_ignored == ("x",)


def test_a_model_that_no_column_names_is_synthetic() -> None:
    work = _read("ts\n1\n", "arrival_s=ts")
    assert work.models() == ("fallback",)
    assert work.meta.synthetic_fields == ("model_id",)
    assert _read("ts,m\n1,a\n", "arrival_s=ts,model_id=m").meta.synthetic_fields == ()


def test_a_cell_may_hold_several_adapters_scales_and_blocks() -> None:
    work = _read(
        "ts,a,s,h\n0,l1; l2,1;0.5,7;8\n1,,,\n",
        "arrival_s=ts,adapter_ids=a,adapter_scales=s,prefix_hash_ids=h",
    )
    assert work.frame["adapter_ids"].tolist() == [("l1", "l2"), ()]
    assert work.frame["adapter_scales"].tolist() == [(1.0, 0.5), None]
    assert work.frame["prefix_hash_ids"].tolist() == [(7, 8), None]


def test_think_times_are_read_in_their_unit_and_may_be_missing() -> None:
    work = _read("ts,w,x\n0,,a\n1,2.5,b\n", "arrival_s=ts,think_time_ms=w")
    assert work.frame["think_time_us"].isna().tolist() == [True, False]
    assert work.frame["think_time_us"].tolist()[1] == 2_500


def test_unix_times_count_from_the_first_row() -> None:
    work = _read("ts\n1700000000.25\n1700000001.5\n", "arrival_s=ts")
    assert work.frame["arrival_us"].tolist() == [0, 1_250_000]


def test_the_azure_columns_are_a_known_map() -> None:
    text = "TIMESTAMP,ContextTokens,GeneratedTokens,Extra\n2023-11-16 18:15:46.6805900,374,44,x\n"
    work = read(Content("azure.csv", text.encode()), KNOWN["azure-llm"], "m")
    assert work.frame["prompt_tokens"].tolist() == [374]
    assert work.meta.licence == "CC-BY-4.0"
    assert work.meta.columns_ignored == ("Extra",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("", "column map: '' is not allowed: expected TARGET=COLUMN"),
        ("arrival_s=", "column map: 'arrival_s=' is not allowed"),
        ("arival_s=t", "column map: target 'arival_s' is not allowed (do you mean 'arrival_s'?)"),
        ("arrival_s=a,arrival_s=b", "column map: target 'arrival_s' is given twice"),
        ("arrival_s=a,arrival_ms=b", "column map: targets ['arrival_s', 'arrival_ms'] are not"),
        ("prompt_tokens=a", "column map: targets [] are not allowed: expected exactly one of"),
        ("arrival_s=a,think_time_s=a,think_time_ms=b", "column map: targets ['think_time_s'"),
    ],
)
def test_a_malformed_map_is_refused(columns: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        ColumnMap.parse(columns)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("ts\n1\n", "arrival_s=tss", "any.csv: no column 'tss' (do you mean 'ts'?): expected one"),
        ("ts\n1\nx\n", "arrival_s=ts", "any.csv, row 2, column 'ts': 'x'"),
        ("ts\n1e30\n", "arrival_s=ts", "any.csv, row 1, column 'ts': "),
        ("ts,n\n1,2.5\n", "arrival_s=ts,turn=n", "any.csv, row 1, column 'n': 2.5"),
        ("ts,h\n1,a;b\n", "arrival_s=ts,prefix_hash_ids=h", "any.csv, row 1, column 'h': 'a;b'"),
        ("ts,m\n1,\n", "arrival_s=ts,model_id=m", "any.csv, row 1, column 'm': None"),
    ],
)
def test_a_file_that_does_not_fit_its_map_is_refused(text: str, columns: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        _read(text, columns)
    assert str(caught.value).startswith(message)
