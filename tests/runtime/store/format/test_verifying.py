"""Verification: any bit of any file that is not what was written is found and named."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.store.errors import StoreError
from runtime.store.format.encoding import encode
from runtime.store.format.index import INDEX_FILE
from runtime.store.format.parsing import read_index
from runtime.store.format.sources import Source
from runtime.store.format.verifying import verify
from runtime.store.format.writing import write_checkpoint
from tests.runtime.store.format.faulty_disk import source


@pytest.fixture(scope="module")
def written() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "config.json"
        config.write_text('{"hidden": 5}')
        made = Source(source(10, 5000, 300).partitions, carried=[("config.json", config)])
        write_checkpoint(made, Path(name) / "a", chunk_bytes=4096)
        yield Path(name) / "a"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_bit_flip_in_any_file_is_found(written: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["data-0.bin", INDEX_FILE, "config.json"]))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(written, Path(folder) / "a"))
        text = bytearray((copy / name).read_bytes())
        text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        (copy / name).write_bytes(text)
        if name == INDEX_FILE:
            with pytest.raises(StoreError):
                verify(copy)
        else:
            (fault,) = verify(copy).faults
            assert name in fault


def test_a_whole_checkpoint_has_no_faults_and_every_byte_is_read(written: Path) -> None:
    told: list[tuple[int, int]] = []
    found = verify(written, deep=True, progress=lambda done, all_: told.append((done, all_)))
    assert found.faults == ()
    assert found.read_bytes == found.index.weight_bytes == told[-1][0] == told[-1][1]


def test_an_index_that_was_made_for_other_values_is_found_when_looking_deep(
    written: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(written, tmp_path / "a"))
    index = read_index(copy)
    first = replace(index.tensors[0], values="0" * 32)
    (copy / INDEX_FILE).write_bytes(encode(replace(index, tensors=(first, *index.tensors[1:]))))
    assert verify(copy).faults == ()
    tensor, whole = verify(copy, deep=True).faults
    assert "tensor t0" in tensor
    assert "digest over all tensors" in whole
