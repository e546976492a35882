"""What a benchmark of loads measured on one machine: the file that calibration reads.

One JSON object, read and written strictly, by the standard library alone. Sizes in bytes, times in
seconds, rates in cores. It knows neither how to measure nor what the figures mean.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from runtime.store.errors import StoreError

SCHEMA: Final = "hotbed-loads/1"
LIMIT_BYTES: Final = 1 << 20  # small enough to commit and to send

#: What the machine gives at best. `disk`: O_DIRECT reads into as much huge-page memory as the
#: checkpoint takes; `disk_hot_buffer`: into a ring that stays in the processor's cache;
#: `page_cache`: buffered reads of a cached file into pre-faulted memory; `disk_write`: O_DIRECT
#: writes and an fsync; `memcpy`: one thread, pre-faulted huge pages; `pcie`: pinned memory to GPU.
What = Literal["disk", "disk_hot_buffer", "page_cache", "disk_write", "memcpy", "pcie"]
#: Where the bytes of a load came from: `ssd` is a cold page cache, `dram` the host pool.
Hop = Literal["ssd", "page_cache", "dram", "remote"]
Kind = Literal["base", "adapter"]
#: Other work of the store. `attach`: an adapter of the pool into an engine's slot; `import`: a
#: checkpoint whose files are in the page cache into the store's format, `import_cold`: one that is
#: read from the same disk; `pool`: creating a host pool.
Work = Literal["attach", "import", "import_cold", "pool"]


class MeasurementsError(StoreError):
    """A file of measurements that is not one: names the place, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured. `torch`, `gpu` and `commit` are None where there is none.

    `disk` and `huge_pages` are a few words; `date` is ISO 8601 in UTC.
    """

    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    disk: str
    huge_pages: str
    gpu: str | None
    python: str
    torch: str | None
    commit: str | None
    date: str


@dataclass(frozen=True, slots=True)
class CeilingRow:
    """One measurement of a ceiling. `order` counts all rows of the file in the order of time:
    the ceilings beside a load are the last of its kind before it and the first after it.
    """

    order: int
    round: int
    what: What
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LoadRow:
    """One load, from the call until every byte is in memory of the process (or on the device).

    `concurrent` loads ran at once, with a row each and the same `order`; `seconds` is each one's
    own. `cpu_s` is the CPU time of the process and its children, shared out evenly among them.
    `phases` may overlap: they need not add up to `seconds`. `foreign_cores` is what other
    processes used meanwhile; `cached_before` the share of the file in the page cache before it
    began (both None where the machine cannot say). `loader` "hotbed_views" takes tensors from the
    pool without a copy. `bytes` are those of the tensors.
    """

    order: int
    round: int
    loader: str
    checkpoint: str
    kind: Kind
    rank: int | None
    tensors: int
    bytes: int
    hop: Hop
    device: str
    concurrent: int
    seconds: float
    cpu_s: float
    phases: dict[str, float]
    foreign_cores: float | None
    cached_before: float | None
    identical: bool


@dataclass(frozen=True, slots=True)
class WorkRow:
    """One piece of other work of the store; `checkpoint` is empty where it is about none."""

    order: int
    round: int
    what: Work
    checkpoint: str
    rank: int | None
    bytes: int
    seconds: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """Everything that one run measured. `missing`: why a loader did not run, by its name."""

    machine: Machine
    seed: int
    ceilings: tuple[CeilingRow, ...]
    loads: tuple[LoadRow, ...]
    works: tuple[WorkRow, ...]
    missing: dict[str, str]


Row = TypeVar("Row", Machine, CeilingRow, LoadRow, WorkRow)


def write(measurements: Measurements, path: Path) -> None:
    """One row a line; whole or not at all. Raises MeasurementsError above LIMIT_BYTES."""
    text = to_text(measurements)
    if len(text.encode()) > LIMIT_BYTES:
        raise MeasurementsError(
            f"{path}: {len(text.encode()):,} bytes of measurements; at most {LIMIT_BYTES:,}"
        )
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def to_text(measurements: Measurements) -> str:
    """The JSON, one row a line, so that two files can be compared by eye."""
    head = {"schema": SCHEMA, "machine": asdict(measurements.machine), "seed": measurements.seed}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for name in ("ceilings", "loads", "works"):
        rows = ",\n".join(json.dumps(asdict(row)) for row in getattr(measurements, name))
        parts.append(f'"{name}": [\n{rows}\n]')
    parts.append(f'"missing": {json.dumps(measurements.missing)}')
    return "{" + ",\n".join(parts) + "}\n"


def read(path: Path) -> Measurements:
    """Raises OSError for a file that cannot be read, MeasurementsError for one that is no such."""
    with path.open("rb") as file:
        raw = file.read(LIMIT_BYTES + 1)
    if len(raw) > LIMIT_BYTES:
        raise MeasurementsError(f"{path}: more than {LIMIT_BYTES:,} bytes; not measurements")
    try:
        return from_text(raw.decode())
    except (MeasurementsError, UnicodeDecodeError) as error:
        raise MeasurementsError(f"{path}: {error}") from None


def from_text(text: str) -> Measurements:
    """The inverse of `to_text`. Raises MeasurementsError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MeasurementsError(f"not JSON: {error}") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise MeasurementsError(f"schema is {schema!r}; expected {SCHEMA!r}")
    _check_keys(found, {"schema", *(field.name for field in fields(Measurements))}, "the file")
    return Measurements(
        machine=_row(Machine, found["machine"], "machine"),
        seed=_value(int, found["seed"], "seed"),
        ceilings=_rows(CeilingRow, found["ceilings"], "ceilings"),
        loads=_rows(LoadRow, found["loads"], "loads"),
        works=_rows(WorkRow, found["works"], "works"),
        missing=_value(dict[str, str], found["missing"], "missing"),
    )


def _rows(kind: type[Row], found: object, place: str) -> tuple[Row, ...]:
    if not isinstance(found, list):
        raise MeasurementsError(f"{place} is {_shown(found)}; expected a list of rows")
    return tuple(_row(kind, one, f"{place}[{number}]") for number, one in enumerate(found))


def _row(kind: type[Row], found: object, place: str) -> Row:
    if not isinstance(found, dict):
        raise MeasurementsError(f"{place} is {_shown(found)}; expected an object")
    hints = get_type_hints(kind)
    _check_keys(found, set(hints), place)
    return kind(
        **{name: _value(hint, found[name], f"{place}.{name}") for name, hint in hints.items()}
    )


def _check_keys(found: dict[str, object], expected: set[str], place: str) -> None:
    for key in expected - found.keys():
        raise MeasurementsError(f"{place} has no {key!r}")
    for key in found.keys() - expected:
        raise MeasurementsError(f"{place} has {key!r}; expected {', '.join(sorted(expected))}")


def _value(hint: Any, found: object, place: str) -> Any:
    """The value as its annotation wants it: numbers are finite and not negative."""
    if get_origin(hint) is UnionType:
        inner = next(one for one in get_args(hint) if one is not NoneType)
        return None if found is None else _value(inner, found, place)
    if get_origin(hint) is Literal:
        if found not in get_args(hint):
            allowed = ", ".join(get_args(hint))
            raise MeasurementsError(f"{place} is {_shown(found)}; expected one of {allowed}")
        return found
    if get_origin(hint) is dict:
        if not isinstance(found, dict):
            raise MeasurementsError(f"{place} is {_shown(found)}; expected an object")
        return {key: _value(get_args(hint)[1], one, f"{place}.{key}") for key, one in found.items()}
    return _plain(hint, found, place)


def _plain(hint: type, found: object, place: str) -> object:
    if hint is float and isinstance(found, int | float) and not isinstance(found, bool):
        if 0 <= found <= sys.float_info.max:  # so nan and what no float holds are refused
            return float(found)
    elif hint is int and isinstance(found, int) and not isinstance(found, bool):
        if found >= 0:
            return found
    elif hint in (str, bool) and isinstance(found, hint):
        return found
    words = {int: "a whole number from 0", float: "a number from 0", str: "text", bool: "a truth"}
    raise MeasurementsError(f"{place} is {_shown(found)}; expected {words[hint]}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
