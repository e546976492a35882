"""An index as text: it comes back as it was, and a text that lies is refused in one line."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.store.errors import StoreError, UnsupportedError
from runtime.store.format.encoding import BadIndexError, decode, encode
from runtime.store.format.hashing import DEFAULT_HASH, digest
from runtime.store.format.index import Carried, Index, Partition, Quantised, TensorEntry

SUM = "0" * 32
INDEX = Index(
    hash=DEFAULT_HASH,
    digest=SUM,
    partitions=(Partition("data-0.bin", 8192, (SUM, SUM)),),
    tensors=(
        TensorEntry("a", 0, "float32", (2, 3), (3, 1), 256, SUM),
        TensorEntry("q", 0, "qint8", (0,), (1,), 0, SUM, Quantised("per_tensor_affine", 0.5, 3)),
    ),
    chunk_bytes=4096,
    splits={"a": 1, "q": None},
    carried=(Carried("tokenizer/config.json", 2, SUM),),
    metadata={"source": "naïve 模型"},
)
Change = Callable[[dict[str, Any]], object]


def _text(change: Change) -> bytes:
    """INDEX with a change, and a checksum that vouches for it: as somebody hostile would."""
    found = json.loads(encode(INDEX))
    del found["checksum"]
    change(found)
    body = json.dumps(found).encode()[1:]
    return f'{{"checksum":"{DEFAULT_HASH}:{digest(DEFAULT_HASH, body)}",\n'.encode() + body


def test_an_index_comes_back_as_it_was_and_is_json() -> None:
    assert decode(encode(INDEX)) == INDEX
    assert decode(_text(lambda found: None)) == INDEX
    assert json.loads(encode(INDEX))["version"] == 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bit_of_an_index_changes_unnoticed(data: st.DataObject) -> None:
    text = bytearray(encode(INDEX))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StoreError):
        decode(bytes(text))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(encode(INDEX)) - 1))
def test_an_index_cut_short_is_refused(length: int) -> None:
    with pytest.raises(StoreError):
        decode(encode(INDEX)[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_index_are_refused(text: bytes) -> None:
    with pytest.raises(StoreError):
        decode(text)


HUGE = 1 << 62
CHANGES: dict[str, Change] = {
    "a version from elsewhere": lambda f: f.update(version=2),
    "another format": lambda f: f.update(format="zip"),
    "no tensors": lambda f: f.pop("tensors"),
    "tensors that are no list": lambda f: f.update(tensors={}),
    "a tensor that is no object": lambda f: f["tensors"].append(7),
    "an unknown dtype": lambda f: f["tensors"][0].update(dtype="float7"),
    "a negative offset": lambda f: f["tensors"][0].update(offset_bytes=-256),
    "an offset that is no whole number": lambda f: f["tensors"][0].update(offset_bytes=1.5),
    "an offset that is a truth": lambda f: f["tensors"][0].update(offset_bytes=True),
    "an offset that splits an element": lambda f: f["tensors"][0].update(offset_bytes=2),
    "an offset beyond the file": lambda f: f["tensors"][0].update(offset_bytes=8192),
    "an offset beyond 63 bits": lambda f: f["tensors"][0].update(offset_bytes=1 << 64),
    "a shape that leaves the file": lambda f: f["tensors"][0].update(shape=[2000, 3]),
    "a shape whose product overflows": lambda f: f["tensors"][0].update(
        shape=[HUGE] * 4, stride=[0] * 4
    ),
    "a stride that leaves the file": lambda f: f["tensors"][0].update(stride=[HUGE, 1]),
    "a negative size": lambda f: f["tensors"][0].update(shape=[-1, 3]),
    "a negative stride": lambda f: f["tensors"][0].update(stride=[-1, 1]),
    "sizes and strides that differ in number": lambda f: f["tensors"][0].update(stride=[1]),
    "too many dimensions": lambda f: f["tensors"][0].update(shape=[1] * 65, stride=[1] * 65),
    "a partition that is not there": lambda f: f["tensors"][0].update(partition=1),
    "a name twice": lambda f: f["tensors"].append(f["tensors"][0]),
    "an empty name": lambda f: f["tensors"][0].update(name=""),
    "a name that cannot be encoded": lambda f: f["tensors"][0].update(name="\ud800"),
    "a digest of the wrong length": lambda f: f["tensors"][0].update(values="00"),
    "a digest that is no number": lambda f: f.update(digest="z" * 32),
    "a file above": lambda f: f["partitions"][0].update(file="../data-0.bin"),
    "a file elsewhere": lambda f: f["partitions"][0].update(file="/etc/passwd"),
    "a file with a NUL": lambda f: f["partitions"][0].update(file="a\0b"),
    "a data file in a folder": lambda f: f["partitions"][0].update(file="a/b"),
    "a file from another system's above": lambda f: f["carried"][0].update(file="..\\x"),
    "a carried file above": lambda f: f["carried"][0].update(file="a/../../x"),
    "a carried file that is the index": lambda f: f["carried"][0].update(file="index.json"),
    "a file twice": lambda f: f["carried"].append(f["carried"][0]),
    "an absurd file": lambda f: f["partitions"][0].update(size_bytes=HUGE),
    "a file of part of a block": lambda f: f["partitions"][0].update(size_bytes=8000),
    "too few checksums": lambda f: f["partitions"][0].update(checksums=[SUM]),
    "a checksum that is none": lambda f: f["partitions"][0].update(checksums=[SUM, 3]),
    "chunks of nothing": lambda f: f.update(chunk_bytes=0),
    "absurd chunks": lambda f: f.update(chunk_bytes=HUGE),
    "a split that is no dimension": lambda f: f["splits"].update(a=-1),
    "metadata that is no text": lambda f: f["metadata"].update(a=1),
    "an unknown word on quantisation": lambda f: f["tensors"][1]["quantised"].update(x=1),
    "a scale that is text": lambda f: f["tensors"][1]["quantised"].update(scale="1"),
    "a scale that is no number": lambda f: f["tensors"][1]["quantised"].update(scale=float("nan")),
    "an empty first partition": lambda f: f.update(partitions=[]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_an_index_that_lies_is_refused_in_one_short_line(change: Change) -> None:
    with pytest.raises(StoreError) as caught:
        decode(_text(change))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_key_twice_is_refused() -> None:
    body = encode(INDEX).split(b"\n", 1)[1].replace(b'"version":1', b'"version":1,"version":1')
    line = f'{{"checksum":"{DEFAULT_HASH}:{digest(DEFAULT_HASH, body)}",\n'.encode()
    with pytest.raises(BadIndexError, match="twice"):
        decode(line + body)


def test_deep_nesting_is_refused_and_not_followed() -> None:
    body = b'"x":' + b"[" * 200_000
    line = f'{{"checksum":"{DEFAULT_HASH}:{digest(DEFAULT_HASH, body)}",\n'.encode()
    with pytest.raises(BadIndexError):
        decode(line + body)


def test_a_hash_that_this_machine_lacks_is_named() -> None:
    with pytest.raises(UnsupportedError, match="'sha1'"):
        decode(b'{"checksum":"sha1:00",\n}')
