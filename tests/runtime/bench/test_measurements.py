"""What a run measured comes back as it was written, and nothing else is taken for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.bench.measurements import (
    LIMIT_BYTES,
    CeilingRow,
    LoadRow,
    Machine,
    Measurements,
    MeasurementsError,
    WorkRow,
    from_text,
    read,
    to_text,
    write,
)

seconds = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
counts = st.integers(min_value=0, max_value=1 << 62)
words = st.text(max_size=12)
machines = st.builds(Machine, cores=counts, memory_bytes=counts)
ceilings = st.builds(CeilingRow, order=counts, round=counts, bytes=counts, seconds=seconds)
loads = st.builds(
    LoadRow,
    order=counts,
    round=counts,
    rank=st.none() | counts,
    tensors=counts,
    bytes=counts,
    concurrent=counts,
    seconds=seconds,
    cpu_s=seconds,
    phases=st.dictionaries(words, seconds, max_size=3),
    foreign_cores=st.none() | seconds,
    cached_before=st.none() | seconds,
)
works = st.builds(
    WorkRow,
    order=counts,
    round=counts,
    rank=st.none() | counts,
    bytes=counts,
    seconds=seconds,
    cpu_s=seconds,
)
measured = st.builds(
    Measurements,
    machine=machines,
    seed=counts,
    ceilings=st.lists(ceilings, max_size=3).map(tuple),
    loads=st.lists(loads, max_size=3).map(tuple),
    works=st.lists(works, max_size=3).map(tuple),
    missing=st.dictionaries(words, words, max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(measured)
def test_what_is_written_is_read_back(measurements: Measurements) -> None:
    assert from_text(to_text(measurements)) == measurements


def small() -> Measurements:
    return Measurements(
        machine=Machine(
            cpu="a cpu",
            cores=2,
            memory_bytes=1 << 30,
            kernel="6.1",
            disk="ext4",
            huge_pages="madvise",
            gpu=None,
            python="3.11.7",
            torch=None,
            commit=None,
            date="2026-01-01T00:00:00+00:00",
        ),
        seed=3,
        ceilings=(CeilingRow(order=0, round=1, what="disk", bytes=100, seconds=0.5),),
        loads=(
            LoadRow(
                order=1,
                round=1,
                loader="hotbed",
                checkpoint="tiny",
                kind="base",
                rank=None,
                tensors=3,
                bytes=100,
                hop="ssd",
                device="cpu",
                concurrent=1,
                seconds=0.6,
                cpu_s=0.01,
                phases={"read": 0.5},
                foreign_cores=0.1,
                cached_before=0.0,
                identical=True,
            ),
        ),
        works=(
            WorkRow(
                order=2,
                round=1,
                what="import",
                checkpoint="tiny",
                rank=None,
                bytes=100,
                seconds=0.4,
                cpu_s=0.1,
            ),
        ),
        missing={"runai": "not installed"},
    )


def test_a_file_is_whole_and_has_a_row_a_line(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    write(small(), path)
    assert read(path) == small()
    assert [entry.name for entry in tmp_path.iterdir()] == ["measured.json"]
    assert sum('"loader"' in line for line in path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (["schema"], "hotbed-loads/9", "schema is 'hotbed-loads/9'; expected 'hotbed-loads/1'"),
        (["seed"], True, "seed is True; expected a whole number from 0"),
        (["machine", "cores"], -1, "machine.cores is -1; expected a whole number from 0"),
        (["ceilings"], {}, "ceilings is {}; expected a list of rows"),
        (["ceilings", 0, "what"], "tape", "ceilings[0].what is 'tape'; expected one of disk,"),
        (["loads", 0], 5, "loads[0] is 5; expected an object"),
        (["loads", 0, "seconds"], float("nan"), "loads[0].seconds is nan; expected a number"),
        (["loads", 0, "seconds"], float("inf"), "loads[0].seconds is inf; expected a number"),
        (["loads", 0, "seconds"], 10**400, "loads[0].seconds is 1000"),
        (["loads", 0, "phases", "read"], "long", "loads[0].phases.read is 'long'; expected a num"),
        (["loads", 0, "identical"], 1, "loads[0].identical is 1; expected a truth"),
        (["loads", 0, "hop"], [], "loads[0].hop is []; expected one of ssd, page_cache"),
        (["works", 0, "checkpoint"], None, "works[0].checkpoint is None; expected text"),
        (["works", 0, "colour"], "red", "works[0] has 'colour'; expected bytes, checkpoint"),
        (["missing", "runai"], 3, "missing.runai is 3; expected text"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    tmp_path: Path, place: list[str | int], value: object, said: str
) -> None:
    found: Any = json.loads(to_text(small()))
    inner = found
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(found))
    with pytest.raises(MeasurementsError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}: {said}")


def test_a_row_without_a_value_is_named() -> None:
    found = json.loads(to_text(small()))
    del found["loads"][0]["cpu_s"]
    with pytest.raises(MeasurementsError, match=r"loads\[0\] has no 'cpu_s'"):
        from_text(json.dumps(found))


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff\xfe", b"[" * 200_000, b"1" * 5000])
def test_what_is_no_such_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "measured.json"
    path.write_bytes(raw)
    with pytest.raises(MeasurementsError, match=r"measured\.json: "):
        read(path)


def test_a_file_above_the_limit_is_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    many = replace(small(), ceilings=small().ceilings * 20_000)
    with pytest.raises(MeasurementsError, match="at most 1,048,576"):
        write(many, path)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b" " * (LIMIT_BYTES + 1))
    with pytest.raises(MeasurementsError, match="more than 1,048,576"):
        read(path)
