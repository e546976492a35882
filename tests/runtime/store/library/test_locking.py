"""Locks of names, and what writers that died leave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.store.errors import StoreError
from runtime.store.format.partials import lock_folder
from runtime.store.library.locking import left_overs, locked, remove_left_overs

HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_name_has_one_holder_and_another_name_its_own(tmp_path: Path) -> None:
    with locked(tmp_path, "org/m"):
        with pytest.raises(StoreError, match="org/m: another process"), locked(tmp_path, "org/m"):
            pass
        with locked(tmp_path, "m"):
            pass
    with locked(tmp_path, "org/m"):
        pass
    assert list((tmp_path / ".locks").iterdir()) == []


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    (tmp_path / ".locks").mkdir()
    words = [sys.executable, "-c", HOLDER, str(tmp_path / ".locks/m.lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another process"), locked(tmp_path, "m"):
            pass
        child.kill()
        child.wait()
    with locked(tmp_path, "m"):
        pass


def test_only_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    dead = [tmp_path / ".m.123.partial", tmp_path / "org/.m.7.partial"]
    alive = tmp_path / ".other.9.partial"
    others = [tmp_path / "m.partial", tmp_path / ".cache", tmp_path / "org/m"]
    for folder in (*dead, alive, *others):
        folder.mkdir(parents=True)
        (folder / "file").write_text("data")
    descriptor = lock_folder(alive)
    try:
        assert set(left_overs(tmp_path)) == set(dead)
        assert set(remove_left_overs(tmp_path)) == set(dead)
    finally:
        os.close(descriptor)
    assert not any(folder.exists() for folder in dead)
    assert all((folder / "file").exists() for folder in (alive, *others))
    assert list(left_overs(tmp_path)) == [alive]


def test_a_store_that_is_not_there_has_no_left_overs(tmp_path: Path) -> None:
    assert remove_left_overs(tmp_path / "none") == []
