"""Folders in the making: a checkpoint has its name only when all of it is on the disk.

What is being written lies beside its name, in a folder that its writer holds a lock on. A writer
that died holds none, whatever killed it: the next one of that name takes its left-over away.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime.store.errors import StoreError
from runtime.store.files import Files
from runtime.store.format.data_file import named
from runtime.store.format.index import INDEX_FILE

SUFFIX: Final = ".partial"


@contextmanager
def replaced_at_once(target: Path, files: Files, *, replace: bool) -> Iterator[Path]:
    """A new folder to write into, which takes the target's name if the block ends well.

    Otherwise it is removed and the target is as it was. Raises StoreError for a target that is
    there unless `replace` allows it, and for one that another process is writing.
    """
    if not target.name or target.name.startswith("."):
        raise StoreError(f"{target}: a checkpoint's name must not be empty or begin with a dot")
    _refuse_existing(target, replace=replace)
    remove_left_overs(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}{SUFFIX}")
    lock = _make(partial, target)
    try:
        yield partial
        with named(target):
            _take_the_name(partial, target, files, replace=replace)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _refuse_existing(target: Path, *, replace: bool) -> None:
    if not os.path.lexists(target):
        return
    if not replace:
        raise StoreError(f"{target}: is there already; another name, or replace it")
    if target.is_symlink() or not (target / INDEX_FILE).is_file():
        raise StoreError(f"{target}: is not a checkpoint, and only a checkpoint is replaced")


def _make(partial: Path, target: Path) -> int:
    """Make the folder and hold its lock: the descriptor that holds it.

    Between the two, another writer may take it for a left-over: then that one goes on.
    """
    with named(partial):
        try:
            partial.mkdir()
            lock = lock_folder(partial)
        except (FileExistsError, FileNotFoundError, BlockingIOError):
            raise _busy(target, partial) from None
        if not partial.exists():
            os.close(lock)
            raise _busy(target, partial)
        return lock


def _take_the_name(partial: Path, target: Path, files: Files, *, replace: bool) -> None:
    files.sync_folder(partial)
    _refuse_existing(target, replace=replace)
    if target.exists():
        files.exchange(partial, target)
    else:
        files.rename(partial, target)
    files.sync_folder(target.parent)


def remove_left_overs(target: Path) -> None:
    """Take away what dead writers of this name left. Raises StoreError beside a living one."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.\d+{re.escape(SUFFIX)}")
    for partial in target.parent.iterdir():
        if not ours.fullmatch(partial.name):
            continue
        try:
            lock = lock_folder(partial)
        except BlockingIOError:
            raise _busy(target, partial) from None
        except OSError:
            continue  # its writer was quicker, or it is no folder
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def lock_folder(folder: Path) -> int:
    """A descriptor that holds a folder's lock until it is closed; the kernel closes a dead one's.

    Raises BlockingIOError where a living process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _busy(target: Path, partial: Path) -> StoreError:
    return StoreError(f"{target}: another process is writing it ({partial.name})")
