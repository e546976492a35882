import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from tests.traces.workloads import small, workloads
from traces.formats.content import Content
from traces.formats.mooncake import read, write
from traces.schema import TraceError
from traces.workload import Workload

PLAIN = {"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
# What a replay tool may not see, and what a line number stands for.
NOT_CARRIED = ["request_id", "service_s", "status", "extra", "block_size"]


def _content(*lines: dict[str, Any] | str) -> Content:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return Content("moon.jsonl", text.encode())


def _read(*lines: dict[str, Any] | str) -> Workload:
    return read(_content(*lines), "base")


def _written(work: Workload, tmp_path: Path) -> list[dict[str, Any]]:
    write(work, tmp_path / "out.jsonl")
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


@given(work=workloads())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_format_carries_is_read_back_exactly(tmp_path: Path, work: Workload) -> None:
    # Times beyond 2001 count from the first; earlier ones are times since a start.
    work = work.compress(4.0)
    path = tmp_path / "work.jsonl"
    write(work, path)
    back = read(Content.of(path), "unused").frame
    # Requests of one time are told apart by their line there, by their id here: the same order.
    assert back["request_id"].tolist() == list(range(len(work)))
    pd.testing.assert_frame_equal(
        back.drop(columns=NOT_CARRIED, errors="ignore"),
        work.frame.drop(columns=NOT_CARRIED, errors="ignore"),
        check_exact=True,
    )


def test_a_plain_line_is_a_request_for_the_default_model() -> None:
    work = _read(PLAIN, PLAIN | {"timestamp": 27.5})
    assert work.frame["arrival_us"].tolist() == [0, 27_500]
    assert work.frame["prompt_tokens"].tolist() == [6758, 6758]
    assert work.frame["prefix_hash_ids"].tolist() == [(0, 1), (0, 1)]
    assert work.frame["block_size"].tolist() == [512, 512]
    assert work.models() == ("base",)
    assert work.meta.synthetic_fields == ("model_id",)


def test_extra_model_alone_is_the_model() -> None:
    work = _read(PLAIN | {"extra": {"model": "m", "temperature": 0}})
    assert (work.models(), work.adapters()) == (("m",), ())
    assert work.meta.synthetic_fields == ()


def test_extra_model_beside_another_base_is_its_adapter() -> None:
    work = _read(PLAIN | {"extra": {"model": "lora"}, "model_id": "m"})
    assert (work.models(), work.adapters()) == (("m",), ("lora",))


def test_extra_model_that_repeats_the_base_is_no_adapter() -> None:
    work = _read(PLAIN | {"extra": {"model": "m"}, "model_id": "m"})
    assert (work.models(), work.adapters()) == (("m",), ())


def test_sessions_tenants_classes_and_delays_ride_along() -> None:
    work = _read(
        PLAIN | {"session_id": "s", "tenant_id": 7, "slo_class": "chat", "turn": 0},
        PLAIN | {"session_id": "s", "delay": 1500, "timestamp": 9000},
    )
    assert work.frame["session_id"].tolist() == ["s", "s"]
    assert work.frame["tenant_id"].tolist() == ["7", None]
    assert work.frame["slo_class"].tolist() == ["chat", None]
    assert work.frame["think_time_us"].dropna().tolist() == [1_500_000]


def test_a_later_turn_may_have_a_delay_instead_of_a_time() -> None:
    later = {"session_id": "s", "input_length": 5, "output_length": 6, "delay": 2000}
    work = _read(PLAIN | {"session_id": "s", "timestamp": 1000}, later, later)
    assert work.frame["arrival_us"].tolist() == [1_000_000, 3_000_000, 5_000_000]
    assert "arrival_us" in work.meta.synthetic_fields
    assert "closed_loop" in work.meta.notes


def test_keys_used_and_ignored_are_recorded() -> None:
    work = _read(PLAIN, PLAIN | {"tools": [], "priority": 3})
    assert work.meta.columns_used == ("timestamp", "input_length", "output_length", "hash_ids")
    assert work.meta.columns_ignored == ("tools", "priority")


def test_empty_lines_are_passed_over() -> None:
    assert len(_read(PLAIN, "", PLAIN, "")) == 2


def test_an_adapter_is_written_as_the_model_of_the_body(tmp_path: Path) -> None:
    work = small(
        arrival_us=[0, 1500],
        adapter_ids=[("lora",), ()],
        prompt_tokens=[1, 2],
        output_tokens=[3, 4],
    )
    assert _written(work, tmp_path) == [
        {"timestamp": 0, "input_length": 1, "output_length": 3, "extra": {"model": "lora"},
         "model_id": "m"},
        {"timestamp": 1.5, "input_length": 2, "output_length": 4, "extra": {"model": "m"},
         "model_id": "m"},
    ]  # fmt: skip


def test_what_no_server_may_see_is_not_written(tmp_path: Path) -> None:
    work = small(
        arrival_us=[0], prompt_tokens=[1], output_tokens=[1], service_s=[9.0], status=["ok"]
    )
    (line,) = _written(work, tmp_path)
    assert not {"service_s", "status"} & set(line)


@pytest.mark.parametrize("columns", [{}, {"prompt_tokens": [3, 4], "output_tokens": [5, None]}])
def test_requests_without_lengths_are_not_written(
    tmp_path: Path, columns: dict[str, list[int | None]]
) -> None:
    row, column = (2, "output_tokens") if columns else (1, "prompt_tokens")
    with pytest.raises(TraceError, match=f"made, row {row}, column '{column}'"):
        write(small(arrival_us=[0, 1], **columns), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "[1] is not allowed: expected a JSON object"),
        ({"timestamp": "soon"}, "column 'timestamp': 'soon'"),
        ({"timestamp": -1}, "column 'timestamp': -1"),
        ({"timestamp": True}, "column 'timestamp': True"),
        ({"timestamp": None}, "column 'timestamp': None"),
        ({"timestamp": None, "delay": 5, "session_id": "new"}, "column 'timestamp': None"),
        ({"delay": "x"}, "column 'delay': 'x'"),
        ({"input_length": None}, "column 'input_length': None"),
        ({"input_length": 1.5}, "column 'input_length': 1.5"),
        ({"output_length": -1}, "column 'output_length': -1"),
        ({"hash_ids": 3}, "column 'hash_ids': 3"),
        ({"hash_ids": [1.5]}, "column 'hash_ids': [1.5]"),
        ({"hash_ids": [2**63]}, "column 'hash_ids': [9223372036854775808]"),
        ({"extra": "m"}, "column 'extra': 'm'"),
        ({"extra": {"model": 3}}, "column 'extra.model': 3"),
        ({"model_id": ""}, "column 'model_id': ''"),
        ({"adapter_ids": ["a", 1]}, "column 'adapter_ids': ['a', 1]"),
        ({"adapter_ids": ["a"], "adapter_scales": []}, "column 'adapter_scales': ()"),
        ({"block_size": 40_000}, "column 'block_size': 40000"),
    ],
)
def test_a_malformed_line_is_refused_by_its_number(
    line: dict[str, Any] | str, message: str
) -> None:
    with pytest.raises(TraceError) as caught:
        _read(PLAIN, line if isinstance(line, str) else PLAIN | line)
    text = str(caught.value)
    assert text.startswith("moon.jsonl, row 2")
    assert message in text


def test_a_file_without_a_line_is_refused() -> None:
    with pytest.raises(TraceError, match=r"moon\.jsonl: empty"):
        _read("")
