"""Gives files that lie whole in a folder of the same disk a checkpoint's name, all at once."""

import os
from pathlib import Path

from runtime.store.files import DISK
from runtime.store.format.data_file import named
from runtime.store.format.encoding import encode
from runtime.store.format.index import INDEX_FILE, Index
from runtime.store.format.partials import replaced_at_once


def install(staging: Path, target: Path, index: Index, *, replacing: bool) -> None:
    """Move the files of `index` to the target, under that index.

    They must be checked and on the disk. Raises StoreError for a target that is there unless
    `replacing`, WriteError where the disk refuses.
    """
    with named(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    with replaced_at_once(target, DISK, replace=replacing) as folder, named(folder):
        folders = {folder}
        names = [one.file for one in index.partitions] + [one.file for one in index.carried]
        for name in names:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            folders |= {folder / above for above in Path(name).parents}
            os.rename(staging / name, place)
        _write(folder / INDEX_FILE, encode(index))
        for one in folders:
            DISK.sync_folder(one)


def _write(path: Path, text: bytes) -> None:
    with path.open("xb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
