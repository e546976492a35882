"""The lock file of fetched traces: what each file's checksum was when it came first.

Publishers of traces name few checksums. Where none is known, the first fetch writes one down here,
and every later one must give the same bytes. It knows files and checksums; it fetches nothing.
"""

from pathlib import Path
from typing import Final

import msgspec

from traces.schema import TraceError

LOCK: Final = "traces.lock.json"


class Locked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file as it came from `url`."""

    url: str
    sha256: str
    size_bytes: int


def read_lock(folder: Path) -> dict[str, Locked]:
    """By file name; empty where nothing was fetched. Raises TraceError for another file there."""
    path = folder / LOCK
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        return msgspec.json.decode(text, type=dict[str, Locked])
    except msgspec.MsgspecError as error:
        raise TraceError(f"{path}: no lock file of traces: {error}; remove it") from None


def write_lock(folder: Path, locked: dict[str, Locked]) -> None:
    """In order of names. Raises TraceError."""
    path = folder / LOCK
    part = path.with_name(f"{LOCK}.part")
    text = msgspec.json.format(msgspec.json.encode(dict(sorted(locked.items()))), indent=2)
    try:
        part.write_bytes(text + b"\n")
        part.replace(path)
    except OSError as error:
        raise TraceError(f"{path}: cannot be written: {error.strerror or error}") from None
