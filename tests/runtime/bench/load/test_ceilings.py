"""Ceilings move every byte that they say, and leave nothing behind."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.bench.load.ceilings import Ceilings
from runtime.store.errors import UnsupportedError

MIB = 1 << 20


@pytest.fixture(scope="module")
def ceilings() -> Iterator[Ceilings]:
    with Ceilings(40 * MIB) as found:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(random.Random(0).randbytes(33 * MIB + 5000))
    return path


def test_a_read_of_the_disk_brings_every_whole_sector(ceilings: Ceilings, file: Path) -> None:
    size, seconds = ceilings.disk(file)
    assert size == 33 * MIB + 4096
    assert seconds > 0
    assert ceilings.held(size) == file.read_bytes()[:size]


def test_a_read_of_the_page_cache_brings_every_byte(ceilings: Ceilings, file: Path) -> None:
    size, _ = ceilings.page_cache(file)
    assert ceilings.held(size) == file.read_bytes()


def test_a_hot_buffer_holds_only_what_was_read_last(ceilings: Ceilings, file: Path) -> None:
    size, _ = ceilings.disk_hot_buffer(file)
    assert size == 33 * MIB + 4096
    last = size // (4 * MIB) * 4 * MIB
    assert ceilings.held(size - last) == file.read_bytes()[last:size]


def test_a_write_leaves_no_file(ceilings: Ceilings, tmp_path: Path) -> None:
    path = tmp_path / "written"
    assert ceilings.disk_write(path, 20 * MIB + 1)[0] == 20 * MIB
    assert not path.exists()


def test_a_write_over_a_file_that_is_there_is_refused(ceilings: Ceilings, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        ceilings.disk_write(file, MIB)
    assert file.read_bytes() == before


@pytest.mark.parametrize("size", [1, 5 * MIB, 45 * MIB])
def test_a_copy_moves_as_many_bytes_as_asked(ceilings: Ceilings, size: int) -> None:
    assert ceilings.memcpy(size)[0] == size


def test_a_file_system_without_direct_reads_is_refused_in_words(ceilings: Ceilings) -> None:
    with pytest.raises(UnsupportedError, match=r"refuses O_DIRECT.*--dir"):
        ceilings.disk(Path("/proc/self/status"), MIB)


def test_a_file_that_became_shorter_is_an_error_and_no_hang(
    ceilings: Ceilings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "preadv", lambda *what: 0)
    with pytest.raises(ValueError, match="the file became shorter"):
        ceilings.disk(file)
