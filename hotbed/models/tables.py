"""A library's checkpoints as a table and as JSON, for `hotbed models list`."""

import json
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from runtime.store.library.entries import Entry
from runtime.store.library.library import Unfinished

DIGEST_CHARACTERS = 12
UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Bytes in decimal units, as disks are sold."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return (
        f"{value:.0f} {UNITS[unit]}" if unit == 0 or value >= 99.5 else f"{value:.3g} {UNITS[unit]}"
    )


def table(entries: Sequence[Entry]) -> Table:
    found = Table()
    found.add_column("name", overflow="fold")
    found.add_column("kind", no_wrap=True)
    found.add_column("base model", overflow="fold")
    for name in ("size", "tensors"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("dtype", no_wrap=True)
    found.add_column("parts", justify="right")
    found.add_column("digest", no_wrap=True)
    found.add_column("source", overflow="fold")
    found.add_column("date", no_wrap=True)
    for entry in entries:
        found.add_row(*_row(entry))
    return found


def _row(entry: Entry) -> list[str]:
    if entry.fault is not None:
        return [escape(entry.name), "[red]broken[/red]"]
    return [
        escape(entry.name),
        entry.kind if entry.rank is None else f"{entry.kind} r{entry.rank}",
        escape(entry.base_model or ""),
        size(entry.weight_bytes),
        str(entry.tensors),
        entry.dtype,
        str(entry.partitions),
        entry.digest[:DIGEST_CHARACTERS],
        escape(entry.source),
        entry.imported_at[:10],
    ]


def facts(entry: Entry) -> dict[str, Any]:
    """All that is known of a checkpoint, sizes in bytes."""
    found = {name: getattr(entry, name) for name in Entry.__slots__}
    return {**found, "folder": str(entry.folder)}


def as_json(root: str, entries: Sequence[Entry], unfinished: Sequence[Unfinished]) -> str:
    shown = {
        "store": root,
        "models": [facts(entry) for entry in entries],
        "unfinished": [{"name": one.name, "came_bytes": one.came_bytes} for one in unfinished],
    }
    return json.dumps(shown, indent=2)
