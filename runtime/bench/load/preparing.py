"""The files of a benchmark on the disk: room for them, written once, and taken away again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from runtime.bench.load.checkpoints import Checkpoint
from runtime.bench.load.conversation import ChildError, environment
from runtime.bench.load.manifests import read_manifest
from runtime.bench.load.places import Place
from runtime.loaders.formats import Format
from runtime.store.errors import NoSpaceError
from runtime.store.files import DISK, Files

Prepared = Mapping[Checkpoint, Place]
#: On the disk and no weights: headers, padding, the fingerprints of many small tensors.
OVERHEAD: Final = 1.05
#: Written beside the files and removed again: what the ceiling writes, and an import.
SCRATCH_COPIES: Final = 2


@contextmanager
def prepared(
    copies: Mapping[Checkpoint, int],
    folder: Path,
    formats: Sequence[Format],
    *,
    seed: int,
    keep: bool,
    say: Callable[[str], None],
) -> Iterator[Prepared]:
    """The place of each checkpoint under `folder`, with as many copies of the store's format.

    Folders that this run made are removed at the end unless `keep`. Raises NoSpaceError before it
    writes, ChildError where writing fails.
    """
    places = {one: Place(folder / one.name, one.kind) for one in copies}
    before = [place.folder for place in places.values() if place.folder.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    refuse_too_little(
        sum(missing_bytes(places[one], one, formats, copies[one]) for one in copies), folder
    )
    try:
        for one, place in places.items():
            _write(one, place, formats, seed=seed, copies=copies[one], say=say)
        yield places
    finally:
        if not keep:
            for place in places.values():
                if place.folder not in before:
                    shutil.rmtree(place.folder, ignore_errors=True)


def missing_bytes(
    place: Place, checkpoint: Checkpoint, formats: Sequence[Format], copies: int
) -> int:
    """What is still to be written, and what measurements write for a while."""
    found = read_manifest(place)
    held = () if found is None else found.formats
    more = sum(form not in held for form in formats) + SCRATCH_COPIES
    more += max(0, copies - (0 if found is None else found.copies))
    return int(more * checkpoint.weight_bytes * OVERHEAD)


def refuse_too_little(needed_bytes: int, folder: Path, files: Files = DISK) -> None:
    """Raises NoSpaceError, in one line, where the disk has too little room."""
    free = files.free_bytes(folder)
    if free < needed_bytes:
        raise NoSpaceError(
            f"{folder}: the benchmark writes {needed_bytes / 1e9:.1f} GB and the disk has "
            f"{free / 1e9:.1f} GB free; name another with --dir, or smaller sizes with --size"
        )


def _write(
    checkpoint: Checkpoint,
    place: Place,
    formats: Sequence[Format],
    *,
    seed: int,
    copies: int,
    say: Callable[[str], None],
) -> None:
    """In a process of its own: the weights take as much memory as the checkpoint."""
    words = {
        "name": checkpoint.name,
        "shape": asdict(checkpoint.shape),
        "rank": checkpoint.rank,
        "folder": str(place.folder),
        "formats": list(formats),
        "copies": copies,
        "seed": seed,
    }
    command = [sys.executable, "-m", "runtime.bench.load.making", json.dumps(words)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            last = line.strip() or last
            say(last)
    if process.returncode != 0:
        raise ChildError(f"{place.folder}: writing {checkpoint.name} failed: {last}")
