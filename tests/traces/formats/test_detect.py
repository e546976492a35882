import gzip
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.formats.column_map import ColumnMap
from traces.formats.content import Content
from traces.formats.detect import (
    JOBS,
    Format,
    detect,
    minutes_of,
    read_content,
    read_function_minutes,
    read_workload,
)
from traces.schema import TraceError


def _parquet(**columns: Sequence[object]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


SAMPLES: dict[Format, bytes] = {
    Format.NORMALISED: _parquet(request_id=[0, 1], arrival_us=[0, 9], model_id=["m", "n"]),
    Format.FUNCTION_MINUTES: _parquet(function=["f", "g"], **{"1": [1, 0], "2": [1, 0]}),
    Format.MOONCAKE: b'{"timestamp": 0, "input_length": 3, "output_length": 4, "hash_ids": [0]}\n'
    b'{"timestamp": 7, "input_length": 3, "output_length": 4, "hash_ids": [1]}\n',
    Format.AZURE_LLM: b"TIMESTAMP,ContextTokens,GeneratedTokens\n"
    b"2023-11-16 18:15:46.6805900,374,44\n2024-11-16 18:15:46,3,4\n",
    Format.AZURE_FUNCTIONS: b"HashOwner,HashApp,HashFunction,Trigger,1,2\n"
    b"o,a,f,http,1,0\no,a,g,http,0,1\n",
    Format.AZURE_FUNCTIONS_2021: b"app,func,end_timestamp,duration\na,f,2.5,0.5\na,g,61.0,0.25\n",
    Format.WEKA: b'{"id": "s", "block_size": 64, "requests": [{"t": 0, "model": "m", "in": 70, '
    b'"out": 4, "hash_ids": [1]}, {"t": 9.5, "in": 80, "out": 3, "think_time": 2}]}\n',
    Format.GENTD26: b"gmt_create,groupId,checkpoint_model_version_id,num_lora\n"
    b"2024-11-15 16:57:50,G0,M0,0\n2024-11-15 16:57:51,G0,M1,0\n",
    Format.VIDUR: b"arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,3,4\n0.75,3,4\n",
    Format.BURSTGPT: b"Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    b"5,ChatGPT,472,18,490,API log\n45,GPT-4,1087,230,1317,API log\n",
}


@pytest.mark.parametrize("file_format", SAMPLES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_format_is_told_from_content_and_read(
    tmp_path: Path, file_format: Format, pack: "type[bytes]"
) -> None:
    path = tmp_path / "no-ending"
    path.write_bytes(pack(SAMPLES[file_format]))
    assert detect(Content.of(path)) == file_format
    work = read_workload(path)
    assert len(work) == 2
    work.validate()
    assert work.meta.columns_used


def test_every_format_of_requests_that_can_be_told_has_a_sample() -> None:
    other = {*JOBS, Format.CLIENT_WINDOWS, Format.CLIENT_LENGTHS}
    assert set(SAMPLES) == set(Format) - other - {Format.COLUMN_MAP}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"when,what\n1,2\n", "found when, what: expected a known header, or a column map (--map)"),
        (
            b'{"id": 1, "requests": []}\n',
            "found id, requests: expected the keys input_length, output_length or block_size",
        ),
        (b"[1, 2]\n", "found list: expected the keys"),
        (b"{oops\n", "row 1: no JSON"),
        (_parquet(job_id=[1]), "found job_id: expected the columns arrival_us"),
        (b"PAR1 but no more", "no readable parquet"),
        (b"", "empty"),
        (b"a\xff\n", "line 1: not UTF-8"),
    ],
)
def test_a_file_of_no_known_format_is_refused_with_what_it_has(data: bytes, found: str) -> None:
    with pytest.raises(TraceError) as caught:
        detect(Content("odd.file", data))
    assert str(caught.value).startswith("odd.file")
    assert found in str(caught.value)


def test_a_column_map_reads_what_no_mark_tells(tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    path.write_text("when,what\n1,2\n")
    work = read_workload(path, columns=ColumnMap.parse("arrival_s=when,output_tokens=what"))
    assert work.frame["output_tokens"].tolist() == [2]


def test_a_map_and_another_format_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    path.write_text("when\n1\n")
    columns = ColumnMap.parse("arrival_s=when")
    with pytest.raises(TraceError, match="a column map reads no mooncake file"):
        read_workload(path, file_format=Format.MOONCAKE, columns=columns)
    with pytest.raises(TraceError, match="needs a column map"):
        read_workload(path, file_format=Format.COLUMN_MAP)


def test_only_function_traces_have_minutes(tmp_path: Path) -> None:
    path = tmp_path / "functions"
    path.write_bytes(SAMPLES[Format.AZURE_FUNCTIONS])
    assert read_function_minutes(path).functions == ("f", "g")
    path.write_bytes(SAMPLES[Format.VIDUR])
    with pytest.raises(TraceError, match="a vidur trace: expected invocations"):
        read_function_minutes(path)


def test_an_unknown_format_name_is_refused_with_the_near_miss() -> None:
    with pytest.raises(TraceError, match=r"'moncake' is not allowed \(do you mean 'mooncake'\?\)"):
        Format.named("moncake")


def _damaged(data: bytes, seed: int) -> bytes:
    """A few bytes replaced, cut out or doubled."""
    rng = random.Random(seed)
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(made) + 1)
        stop = min(len(made), start + rng.choice([0, 1, 1, 5]))
        made[start:stop] = rng.choice([b"", b"-", b"\n", b",", b'"', b"\xff", b"9" * 25, b"nan"])
    return bytes(made)


@given(
    file_format=st.sampled_from(sorted(SAMPLES)),
    seed=st.integers(0, 2**32),
    as_it_was=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_a_damaged_file_is_read_or_refused_in_one_line(
    file_format: Format, seed: int, as_it_was: bool
) -> None:
    content = Content("damaged", _damaged(SAMPLES[file_format], seed))
    line = _valid_or_refused(content, file_format if as_it_was else None)
    assert line is None or (line.startswith("damaged") and "\n" not in line)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3))
@settings(max_examples=100, deadline=None)
def test_any_json_value_for_any_key_is_read_or_refused(value: object) -> None:
    for key in ("timestamp", "input_length", "hash_ids", "extra", "adapter_ids", "turn", "delay"):
        record = {"timestamp": 0, "input_length": 3, "output_length": 4} | {key: value}
        content = Content("line", json.dumps(record).encode())
        line = _valid_or_refused(content, Format.MOONCAKE)
        assert line is None or line.startswith("line, row 1")


def _valid_or_refused(content: Content, file_format: Format | None) -> str | None:
    """The refusal, or None where a valid workload came of it; any other error goes through."""
    try:
        told = file_format or detect(content)
        if told in (Format.AZURE_FUNCTIONS, Format.FUNCTION_MINUTES):
            minutes_of(content, told)  # a damaged count may be billions: too many to spread here
            return None
        work = read_content(content, told, "m", 0)
    except TraceError as error:
        return str(error)
    work.validate()
    return None
