"""Folders in the making: a dead writer's is cleared, a living one's is left alone."""

import os
from pathlib import Path

import pytest

from runtime.store.errors import StoreError, WriteError
from runtime.store.files import DISK
from runtime.store.format.index import INDEX_FILE
from runtime.store.format.partials import lock_folder, remove_left_overs, replaced_at_once


def _left_over(name: str, folder: Path) -> Path:
    path = folder / name
    path.mkdir()
    (path / "data-0.bin").write_bytes(b"half")
    return path


def test_what_a_dead_writer_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    dead = _left_over(".a[1].123.partial", tmp_path)
    others = {
        _left_over(name, tmp_path)
        for name in (".a[1].b.123.partial", ".a1.123.partial", ".a[1].partial", "a[1].1.partial")
    }
    remove_left_overs(tmp_path / "a[1]")
    assert not dead.exists()
    assert set(tmp_path.iterdir()) == others


def test_a_living_writer_is_not_disturbed(tmp_path: Path) -> None:
    living = _left_over(".a.1.partial", tmp_path)
    lock = lock_folder(living)
    with pytest.raises(StoreError, match="another process is writing it"):
        remove_left_overs(tmp_path / "a")
    assert (living / "data-0.bin").read_bytes() == b"half"
    os.close(lock)


def test_two_writers_of_one_name_do_not_meet(tmp_path: Path) -> None:
    with replaced_at_once(tmp_path / "a", DISK, replace=False) as folder:
        (folder / INDEX_FILE).write_text("first")
        with pytest.raises(StoreError, match="another process is writing it"):
            with replaced_at_once(tmp_path / "a", DISK, replace=False):
                pytest.fail("a second writer came in")
    assert (tmp_path / "a" / INDEX_FILE).read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_block_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    with replaced_at_once(tmp_path / "a", DISK, replace=False) as folder:
        (folder / INDEX_FILE).write_text("old")
    with pytest.raises(KeyboardInterrupt):
        with replaced_at_once(tmp_path / "a", DISK, replace=True):
            raise KeyboardInterrupt
    assert (tmp_path / "a" / INDEX_FILE).read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_name_taken_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is there already"):
        with replaced_at_once(tmp_path / "a", DISK, replace=False):
            (tmp_path / "a").mkdir()
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / INDEX_FILE).write_text("{}")
    (tmp_path / "a").symlink_to("real")
    with pytest.raises(StoreError, match="not a checkpoint"):
        with replaced_at_once(tmp_path / "a", DISK, replace=True):
            pytest.fail("a link was accepted")


@pytest.mark.parametrize("name", [".a", ""])
def test_a_hidden_or_empty_name_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="name must not"):
        with replaced_at_once(Path(name), DISK, replace=False):
            pytest.fail("the name was accepted")


def test_a_name_too_long_for_the_disk_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="too long"):
        with replaced_at_once(tmp_path / ("a" * 250), DISK, replace=False):
            pytest.fail("the name was accepted")
