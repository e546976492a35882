"""safetensors headers: what the reference refuses is refused, what it reads is read the same."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.store.errors import CorruptError, StoreError, TruncatedError, UnsupportedError
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.safetensors import (
    NAMES,
    THEIRS,
    Outgoing,
    header_bytes,
    read_header,
    write_file,
)

oracle = pytest.importorskip("safetensors", reason="the safetensors package is the oracle")

GOOD = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}


def file_of(folder: Path, header: str | bytes, data: bytes) -> Path:
    text = header.encode() if isinstance(header, str) else header
    path = folder / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def refused_by_the_reference(path: Path) -> bool:
    try:
        oracle.deserialize(path.read_bytes())
    except oracle.SafetensorError:
        return True
    return False


@pytest.mark.parametrize(
    ("rows", "size", "what"),
    [
        ({"a": {**GOOD, "data_offsets": [0, 3]}}, 3, "3 bytes, U8"),
        ({"a": {**GOOD, "data_offsets": [1, 5]}}, 5, "hole"),
        ({"a": GOOD, "b": GOOD}, 4, "overlaps"),
        ({"a": {**GOOD, "data_offsets": [4, 0]}}, 4, "data_offsets"),
        ({"a": {**GOOD, "data_offsets": [-4, 0]}}, 4, "data_offsets"),
        ({"a": {**GOOD, "shape": [1 << 62, 1 << 62]}}, 4, "larger than any file"),
        ({"a": {**GOOD, "shape": [4.0]}}, 4, "shape"),
        ({"a": {**GOOD, "dtype": "Q4"}}, 4, "known are"),
        ({"a": {"dtype": "U8"}}, 4, "shape None"),
        ({"a": GOOD, "__metadata__": {"x": 1}}, 4, "__metadata__"),
        ({"a": GOOD}, 5, "1 bytes after"),
        ({"a": GOOD}, 3, "ends 1 bytes early"),
    ],
)
def test_what_the_reference_refuses_is_refused(
    tmp_path: Path, rows: dict[str, object], size: int, what: str
) -> None:
    path = file_of(tmp_path, json.dumps(rows), bytes(size))
    assert refused_by_the_reference(path)
    with pytest.raises((CorruptError, TruncatedError), match=what):
        read_header(path)


@pytest.mark.parametrize("header", ["", "[]", "{", '{"a": NaN}', "[" * 9000, b"\xff\xfe{}"])
def test_a_header_that_is_no_object_is_refused(tmp_path: Path, header: str | bytes) -> None:
    path = file_of(tmp_path, header, b"")
    assert refused_by_the_reference(path)
    with pytest.raises(CorruptError):
        read_header(path)


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    row = json.dumps(GOOD)
    with pytest.raises(CorruptError, match="'a' is there twice"):
        read_header(file_of(tmp_path, f'{{"a": {row}, "a": {row}}}', bytes(4)))


@pytest.mark.parametrize("length", [9, 100_000_001, (1 << 64) - 1])
def test_a_header_longer_than_the_file_or_the_limit_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    assert refused_by_the_reference(path)
    with pytest.raises(StoreError):
        read_header(path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 99), bit=st.integers(0, 7))
def test_with_any_bit_flipped_it_is_read_only_where_the_reference_reads(
    tmp_path: Path, at: int, bit: int
) -> None:
    data = bytearray(file_of(tmp_path, json.dumps({"a": GOOD}), bytes(4)).read_bytes())
    data[at % len(data)] ^= 1 << bit
    path = tmp_path / "b.safetensors"
    path.write_bytes(data)
    if refused_by_the_reference(path):
        with pytest.raises(StoreError):
            read_header(path)


@pytest.mark.parametrize("theirs", sorted(NAMES))
def test_every_type_is_written_as_the_reference_reads_it(tmp_path: Path, theirs: str) -> None:
    path, data = tmp_path / "a.safetensors", bytes(range(48))
    count = 48 // item_bytes(NAMES[theirs])
    write_file(path, [Outgoing("t", NAMES[theirs], (count,), 48, lambda: [memoryview(data)])], {})
    [(name, found)] = oracle.deserialize(path.read_bytes())
    assert (name, found["dtype"], bytes(found["data"])) == ("t", theirs, data)
    assert found["shape"] == [2 * count if theirs == "F4" else count]
    [tensor] = read_header(path).tensors
    assert (tensor.dtype, tensor.shape, tensor.size_bytes) == (NAMES[theirs], (count,), 48)


def test_a_type_that_safetensors_lacks_is_refused_by_name() -> None:
    assert "complex128" not in THEIRS
    with pytest.raises(UnsupportedError, match="'t': safetensors has no type for complex128"):
        header_bytes([Outgoing("t", "complex128", (1,), 16, lambda: [])], {})
