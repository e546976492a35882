"""Folders in the making: a checkpoint has its name only when all of it is on the disk.

What is being written lies beside its name, in a folder that its writer holds a lock on. A writer
that died holds none, whatever killed it: the next one of that name takes its left-over away.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.store.errors import StoreError
from runtime.store.files import Files

SUFFIX = ".partial"


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
    partial.mkdir(parents=True)
    try:
        with _locked(partial):
            yield partial
            _take_the_name(partial, target, files, replace=replace)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_existing(target: Path, *, replace: bool) -> None:
    if os.path.lexists(target) and not replace:
        raise StoreError(f"{target}: is there already; another name, or replace it")


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
    for partial in target.parent.glob(f".{target.name}.*{SUFFIX}"):
        try:
            with _locked(partial):
                shutil.rmtree(partial, ignore_errors=True)
        except BlockingIOError:
            raise StoreError(f"{target}: another process is writing it ({partial.name})") from None
        except FileNotFoundError:
            continue  # its writer was quicker


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the kernel takes back from the dead. Raises BlockingIOError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
