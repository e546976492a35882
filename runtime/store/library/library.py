"""The folder itself: which names there are, where each lies, and how one is taken away.

`ROOT/NAME` or `ROOT/ORG/NAME` is a checkpoint; `.fetching` holds what has come of those that are
being fetched, `.locks` who is at work. How a checkpoint is brought in is `importing.py`'s.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.store.errors import StoreError
from runtime.store.format.data_file import named
from runtime.store.format.parsing import is_checkpoint
from runtime.store.format.partials import SUFFIX
from runtime.store.library.entries import Entry, checkpoint_folders, read_entry
from runtime.store.library.locking import LOCKS, file_name, locked
from runtime.store.library.names import check_name, near

VARIABLE: Final = "HOTBED_STORE"
FETCHING: Final = ".fetching"


def default_root() -> Path:
    """$HOTBED_STORE, or hotbed/models in the user's data folder ($XDG_DATA_HOME, ~/.local/share).

    Raises StoreError for a $HOTBED_STORE that is no absolute path.
    """
    told = os.environ.get(VARIABLE, "")
    if told:
        if not Path(told).is_absolute():
            raise StoreError(f"${VARIABLE} is {told!r}: expected an absolute path")
        return Path(told)
    data = os.environ.get("XDG_DATA_HOME", "")
    root = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return root / "hotbed" / "models"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What has come of a checkpoint whose fetch broke off; `came_bytes` are on the disk."""

    name: str
    folder: Path
    came_bytes: int


class Library:
    """Checkpoints by name under one folder, which need not be there yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        return [name for name, _ in checkpoint_folders(self.root)]

    def entries(self) -> list[Entry]:
        """All of them, in the order of their names, those that cannot be read too."""
        return [read_entry(name, folder) for name, folder in checkpoint_folders(self.root)]

    def unfinished(self) -> list[Unfinished]:
        """Fetches that broke off, which the same import goes on with."""
        place = self.root / FETCHING
        if not place.is_dir():
            return []
        return [
            Unfinished(one.name.replace("%", "/"), one, _bytes_under(one))
            for one in sorted(place.iterdir())
            if one.is_dir()
        ]

    def place(self, name: str) -> Path:
        """Where a checkpoint of that name lies or would lie.

        Raises StoreError for a name that is not allowed, or that lies within another.
        """
        folder = self.root / check_name(name)
        if "/" in name and is_checkpoint(folder.parent):
            raise StoreError(
                f"{name}: {folder.parent.name} is a checkpoint, and cannot hold others"
            )
        if "/" not in name and folder.is_dir() and not is_checkpoint(folder):
            inside = [one for one in self.names() if one.startswith(f"{name}/")]
            what = f"it holds {', '.join(inside)}" if inside else "there is a folder of that name"
            raise StoreError(f"{name}: cannot be a checkpoint's name: {what} ({folder})")
        return folder

    def staging(self, name: str) -> Path:
        """Where the files of a checkpoint that is being fetched lie until it is whole."""
        return self.root / FETCHING / file_name(name)

    def folder(self, name: str) -> Path:
        """Of a checkpoint that is there. Raises StoreError with names like it."""
        for known, folder in checkpoint_folders(self.root):
            if known == name:
                return folder
        raise StoreError(f"no model {name!r} in {self.root}: {near(name, self.names())}")

    def same(self, digest: str, other_than: str) -> list[str]:
        """The names of other checkpoints with the same tensor values."""
        return [one.name for one in self.entries()
                if one.digest == digest and one.name != other_than]  # fmt: skip

    def remove(self, name: str) -> None:
        """Take away a checkpoint, or what has come of one; at once for whoever looks.

        Files that a process has open stay readable for it. Raises StoreError for an unknown name
        and for one that is being brought in.
        """
        unfinished = [one.name for one in self.unfinished()]
        if name not in unfinished:
            self.folder(name)
        with locked(self.root, name):
            shutil.rmtree(self.staging(name), ignore_errors=True)
            if name in self.names():
                self._take_away(self.folder(name))
        tidy(self.root, name)

    def _take_away(self, folder: Path) -> None:
        """Killed midway, it leaves what the next import recognises as a left-over."""
        gone = folder.with_name(f".{folder.name}.{os.getpid()}{SUFFIX}")
        with named(folder):
            os.rename(folder, gone)
            shutil.rmtree(gone)


def tidy(root: Path, name: str) -> None:
    """Take away the folders around a name that hold nothing any more."""
    around = [root / name_within for name_within in (LOCKS, FETCHING)]
    if "/" in name:
        around.append((root / name).parent)
    for folder in around:
        try:
            folder.rmdir()
        except OSError:
            continue  # not empty, or not there


def _bytes_under(folder: Path) -> int:
    return sum(_on_disk(path) for path in folder.rglob("*"))


def _on_disk(path: Path) -> int:
    """What a file takes on the disk: one in the making has its whole length from the start."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    return 512 * found.st_blocks if path.is_file() else 0
