"""One writer for a name: a lock that death releases, and the left-overs of writers that died."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime.store.errors import StoreError
from runtime.store.format.data_file import named
from runtime.store.format.partials import SUFFIX, lock_folder

LOCKS: Final = ".locks"
LEFT_OVER: Final = re.compile(rf"\..+\.\d+{re.escape(SUFFIX)}")


def file_name(name: str) -> str:
    """A checkpoint's name as that of one file: names hold no '%'."""
    return name.replace("/", "%")


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """While this lasts nobody else brings in or takes away `name`.

    Raises StoreError where another process, or thread, is at it.
    """
    path = root / LOCKS / f"{file_name(name)}.lock"
    descriptor = _locked(path, name)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path, name: str) -> int:
    while True:
        with named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError(f"{name}: another process is importing or removing it") from None
        if _is_there(path, descriptor):
            return descriptor
        os.close(descriptor)  # the one before took its file away in between


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def left_overs(root: Path) -> Iterator[Path]:
    """Folders that dead writers left; those of living ones are not among them."""
    for folder in (root, *_plain_folders(root)):
        for path in _sorted(folder):
            if LEFT_OVER.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                try:
                    os.close(lock_folder(path))
                except OSError:
                    continue  # a living writer's, or gone
                yield path


def remove_left_overs(root: Path) -> list[Path]:
    """Take them away, and say which they were."""
    removed = []
    for path in list(left_overs(root)):
        try:
            descriptor = lock_folder(path)
        except OSError:
            continue
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)
        removed.append(path)
    return removed


def _plain_folders(root: Path) -> list[Path]:
    return [one for one in _sorted(root) if one.is_dir() and not one.name.startswith(".")]


def _sorted(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
