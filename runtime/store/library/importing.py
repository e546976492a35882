"""Brings a checkpoint into a library: from a path of this machine or an address elsewhere.

What is imported from here leaves nothing behind when it fails or is stopped; of what comes from
elsewhere, the parts that have come stay for the next try, until then under `.fetching`.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runtime.store.errors import NoSpaceError, StoreError
from runtime.store.files import DISK
from runtime.store.format import huggingface
from runtime.store.format.converting import CONFIG, source_of
from runtime.store.format.parsing import is_checkpoint, read_index
from runtime.store.format.sources import Source
from runtime.store.format.tensor_parallel import check_heads, cut_source
from runtime.store.format.writing import write_checkpoint
from runtime.store.library.entries import IMPORTED_AT, SOURCE, Entry, read_entry
from runtime.store.library.installing import install
from runtime.store.library.library import Library, tidy
from runtime.store.library.locking import locked, remove_left_overs
from runtime.store.library.names import check_name, name_of
from runtime.store.library.own_source import source_of_ours
from runtime.store.remote.checkpoints import Listed, SinkOf, fetch_checkpoint, listed
from runtime.store.remote.errors import shown
from runtime.store.remote.fetching import Fetch
from runtime.store.remote.journal import journal_of
from runtime.store.remote.retrying import Patience
from runtime.store.remote.sources import is_address, opened

ROOM_BYTES: Final = 64 << 20  # beside the weights: an index, small files

#: Told what is being done, and how many bytes of how many are.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`source` is a path or an address; the name is told from it where none is given.

    `devices` above 1 cuts for tensor parallelism; `replace` lets it take an existing name.
    """

    source: str
    name: str | None = None
    devices: int = 1
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """The checkpoint, the names of others with the same values, and what came over the wire now
    and in earlier tries."""

    entry: Entry
    same_as: list[str]
    read_bytes: int = 0
    kept_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Import:
    """One import under way: where it goes, and what to do with it meanwhile."""

    library: Library
    wanted: Wanted
    name: str
    target: Path
    report: Report
    sink_of: SinkOf


def import_checkpoint(
    library: Library,
    wanted: Wanted,
    *,
    report: Report = lambda what, done, total: None,
    patience: Patience | None = None,
    sink_of: SinkOf = lambda name: None,
) -> Imported:
    """Make it be there under its name.

    `sink_of` gives, for a file by its name, what takes its bytes as they come from elsewhere.
    Raises StoreError in one line: a name that is taken or not allowed, another import of it, a
    source that is none, a disk too small (before anything is written); RemoteError and its kin.
    """
    if wanted.devices < 1:
        raise StoreError(f"tensor-parallel is {wanted.devices}: expected 1 or more")
    name = check_name(wanted.name) if wanted.name else name_of(wanted.source)
    with _alone(library, name):
        target = library.place(name)
        if is_checkpoint(target) and not wanted.replace:
            raise StoreError(f"{name}: is there already: expected --replace, or another --name")
        work = _Import(library, wanted, name, target, report, sink_of)
        if is_address(wanted.source):
            came = _from_elsewhere(work, wanted.source, patience or Patience())
        elif is_checkpoint(Path(wanted.source)) and wanted.devices == 1:
            came = _copied(work, patience or Patience())
        else:
            came = _written(work, Path(wanted.source))
        entry = read_entry(name, target)
        same = library.same(entry.digest, name)
    return Imported(entry, same, *came)


@contextmanager
def _alone(library: Library, name: str) -> Iterator[None]:
    try:
        with locked(library.root, name):
            remove_left_overs(library.root)
            yield
    finally:
        tidy(library.root, name)


def _copied(work: _Import, patience: Patience) -> tuple[int, int]:
    """A checkpoint of ours on this machine, chunk by chunk, each checked."""
    address = f"file://{Path(work.wanted.source).resolve()}"
    try:
        _from_elsewhere(work, address, patience)
    finally:
        shutil.rmtree(work.library.staging(work.name), ignore_errors=True)
    return 0, 0


def _from_elsewhere(work: _Import, address: str, patience: Patience) -> tuple[int, int]:
    """Fetched into the staging folder, and from there in its place; bytes read and kept."""
    staging, progress = work.library.staging(work.name), _Counted(work.report, "fetching")
    how = Fetch(patience, came=progress.came)
    with opened(address, patience) as remote:
        found = listed(remote, address, how)
        as_it_is = found.kind == "hotbed" and work.wanted.devices == 1
        _refuse_no_space(work, found, copies=1 if as_it_is else 2)
        _drop_others(staging, found)
        progress.total = found.size_bytes
        fetched = fetch_checkpoint(found, staging, how, work.sink_of)
    if as_it_is:
        index = read_index(staging)
        index = replace(index, metadata=_metadata(work, index.metadata))
        install(staging, work.target, index, replacing=work.wanted.replace)
    else:
        alone = found.kind == "safetensors"
        _written(work, staging / next(iter(found.files)) if alone else staging)
    shutil.rmtree(staging)
    return fetched.read_bytes, fetched.kept_bytes


def _drop_others(staging: Path, found: Listed) -> None:
    """What an earlier try for another source left under this name."""
    wanted = {staging / name for name in found.files}
    wanted |= {journal_of(path) for path in wanted}
    for path in staging.rglob("*"):
        if path not in wanted and not path.is_dir():
            path.unlink()


class _Counted:
    """Bytes that came, as progress."""

    def __init__(self, report: Report, what: str) -> None:
        self._report = report
        self._what = what
        self._done = 0
        self.total = 0

    def came(self, count: int) -> None:
        self._done += count
        self._report(self._what, self._done, max(self.total, self._done))


def _written(work: _Import, path: Path) -> tuple[int, int]:
    """Read from this machine and written in our format."""
    source = _cut(_source(path), path, work.wanted.devices)
    source = replace(source, metadata=_metadata(work, source.metadata))
    _refuse_inside(work, path)
    write_checkpoint(
        source,
        work.target,
        replace=work.wanted.replace,
        progress=lambda done, total: work.report("writing", done, total),
    )
    return 0, 0


def _source(path: Path) -> Source:
    if is_checkpoint(path):
        return source_of_ours(path)
    return source_of(path)


def _cut(source: Source, path: Path, devices: int) -> Source:
    if devices == 1:
        return source
    if (path / CONFIG).is_file():
        check_heads(huggingface.read_object(path / CONFIG), devices)
    return cut_source(source, devices)


def _metadata(work: _Import, known: Mapping[str, str]) -> dict[str, str]:
    source = work.wanted.source
    shown_source = shown(source) if is_address(source) else str(Path(source).absolute())
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return {**known, SOURCE: shown_source, IMPORTED_AT: at}


def _refuse_no_space(work: _Import, found: Listed, *, copies: int) -> None:
    """Before anything is fetched; what an earlier try left counts as there."""
    kept = {one.name: one.came_bytes for one in work.library.unfinished()}.get(work.name, 0)
    need = copies * found.size_bytes - min(kept, found.size_bytes) + ROOM_BYTES
    free = DISK.free_bytes(work.library.root)
    if need > free:
        raise NoSpaceError(f"{work.target}: needs {need:,} bytes, {free:,} are free on its disk")


def _refuse_inside(work: _Import, path: Path) -> None:
    if work.target.resolve() in (path.resolve(), *path.resolve().parents):
        raise StoreError(f"{path}: cannot be imported onto itself: give another --name")
