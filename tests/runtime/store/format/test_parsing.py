"""Opening a folder: what lies there is what the index says, or the refusal names the file."""

import os
from pathlib import Path

import pytest

from runtime.store.errors import CorruptError, FileError, ReadError, StoreError, TruncatedError
from runtime.store.format import parsing
from runtime.store.format.index import INDEX_FILE
from runtime.store.format.parsing import is_checkpoint, read_index
from runtime.store.format.sources import Source
from runtime.store.format.writing import write_checkpoint
from tests.runtime.store.format.faulty_disk import source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = tmp_path / "config.json"
    config.write_text("{}")
    parts = source(5000).partitions
    write_checkpoint(
        Source(parts, carried=[("config.json", config), ("deep/one.json", config)]), tmp_path / "a"
    )
    return tmp_path / "a"


def test_a_folder_without_an_index_is_no_checkpoint(folder: Path) -> None:
    assert is_checkpoint(folder)
    assert not is_checkpoint(folder.parent)
    with pytest.raises(ReadError, match="No such file"):
        read_index(folder.parent)


def test_a_missing_data_file_is_named(folder: Path) -> None:
    (folder / "data-0.bin").unlink()
    with pytest.raises(ReadError, match=r"data-0\.bin"):
        read_index(folder)


def test_a_short_data_file_says_where_it_ends(folder: Path) -> None:
    os.truncate(folder / "data-0.bin", 4096)
    with pytest.raises(TruncatedError) as caught:
        read_index(folder)
    assert caught.value.offset_bytes == 4096


def test_a_data_file_with_more_than_was_written_is_refused(folder: Path) -> None:
    os.truncate(folder / "data-0.bin", 1 << 20)
    with pytest.raises(CorruptError, match="the index says 8192"):
        read_index(folder)


@pytest.mark.parametrize("name", ["data-0.bin", "config.json", INDEX_FILE])
def test_a_link_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(FileError, match="leads out"):
        read_index(folder)


def test_a_folder_that_is_a_link_out_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside"
    (folder / "deep").rename(outside)
    (folder / "deep").symlink_to(outside)
    with pytest.raises(FileError, match="leads out"):
        read_index(folder)


def test_a_link_within_the_folder_and_a_linked_folder_are_followed(folder: Path) -> None:
    (folder / "data-0.bin").rename(folder / "elsewhere.bin")
    (folder / "data-0.bin").symlink_to("elsewhere.bin")
    (folder.parent / "b").symlink_to(folder)
    assert read_index(folder.parent / "b") == read_index(folder)


def test_links_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "data-0.bin").unlink()
    (folder / "data-0.bin").symlink_to("data-0.bin")
    with pytest.raises(StoreError, match=r"data-0\.bin"):
        read_index(folder)


@pytest.mark.parametrize("name", ["data-0.bin", INDEX_FILE])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(FileError, match="not a plain file"):
        read_index(folder)


def test_an_absurdly_long_index_is_not_read(folder: Path) -> None:
    os.truncate(folder / INDEX_FILE, parsing.MOST_INDEX_BYTES + 1)
    with pytest.raises(CorruptError, match="at most"):
        read_index(folder)
