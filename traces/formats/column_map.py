"""Any CSV by a column map: which of its columns is which column of the schema, and in which unit.

`arrival_ms=ts,prompt_tokens=in_len` reads the arrival from `ts`, milliseconds, and the prompt
length from `in_len`. Some public formats are no more than such a map and are named in `KNOWN`.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from traces.formats import stamps
from traces.formats.content import Content
from traces.formats.csv_table import CsvTable
from traces.schema import COLUMNS, TraceError, refusal
from traces.workload import TraceMeta, Workload

UNITS_US: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
ARRIVALS: Final = (*(f"arrival_{unit}" for unit in UNITS_US), "arrival_timestamp")
THINK_TIMES: Final = tuple(f"think_time_{unit}" for unit in UNITS_US)
DERIVED: Final = ("arrival_us", "think_time_us")
TARGETS: Final = (*ARRIVALS, *THINK_TIMES, *(n for n in COLUMNS if n not in DERIVED))
# Between the items of one cell, as in adapter_ids "l1;l2".
ITEM_SEPARATOR = ";"
LARGEST_US = 2**62


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """`fields[target]` is the CSV's column; exactly one target is an arrival.

    `source` and `licence` go into the meta data of what is read. A column in `optional` is used
    where the file has it.
    """

    fields: Mapping[str, str]
    source: str = ""
    licence: str = ""
    optional: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, text: str) -> "ColumnMap":
        """From `target=column,target=column`. Raises TraceError naming the part and the targets."""
        fields: dict[str, str] = {}
        for part in text.split(","):
            target, equals, column = (piece.strip() for piece in part.partition("="))
            if not equals or not column:
                raise TraceError(f"column map: {part!r} is not allowed: expected TARGET=COLUMN")
            if target not in TARGETS:
                raise TraceError(
                    f"column map: target {target!r} is not allowed"
                    f"{near_miss(target, TARGETS)}: expected one of {', '.join(TARGETS)}"
                )
            if target in fields:
                raise TraceError(f"column map: target {target!r} is given twice: expected once")
            fields[target] = column
        _single_arrival(fields)
        return cls(fields)

    def fits(self, names: list[str]) -> bool:
        """Whether a CSV with these columns has all that the map needs."""
        return set(self.fields.values()) <= set(names)


KNOWN: Final[dict[str, ColumnMap]] = {
    "azure-llm": ColumnMap(
        {
            "arrival_timestamp": "TIMESTAMP",
            "prompt_tokens": "ContextTokens",
            "output_tokens": "GeneratedTokens",
        },
        source="Azure LLM inference trace (Azure/AzurePublicDataset)",
        licence="CC-BY-4.0",
    ),
    "vidur": ColumnMap(
        {
            "arrival_s": "arrived_at",
            "prompt_tokens": "num_prefill_tokens",
            "output_tokens": "num_decode_tokens",
        },
    ),
}


def near_miss(word: str, words: tuple[str, ...] | list[str]) -> str:
    """` (do you mean "x"?)`, or nothing where no word is close."""
    close = difflib.get_close_matches(word, words, n=1)
    return f" (do you mean {close[0]!r}?)" if close else ""


def read(content: Content, columns: ColumnMap, model: str) -> Workload:
    """`model` names the base model where no column does. Raises TraceError with row and column."""
    table = CsvTable.of(content)
    fields = dict(columns.fields)
    for target, name in (columns.optional or {}).items():
        if name in table.names:
            fields[target] = name
    for name in fields.values():
        if name not in table.names:
            raise TraceError(
                f"{content.file}: no column {name!r}{near_miss(name, table.names)}: "
                f"expected one of {', '.join(table.names)}"
            )
    used = tuple(fields.values())
    meta = TraceMeta(
        source=columns.source or content.name,
        licence=columns.licence,
        trace_id=content.stem,
        columns_used=used,
        columns_ignored=tuple(name for name in table.names if name not in used),
    )
    return _workload(table, fields, meta, model)


def _workload(table: CsvTable, fields: Mapping[str, str], meta: TraceMeta, model: str) -> Workload:
    made: dict[str, Any] = {"request_id": np.arange(len(table))}
    quantum_us = 0
    for target, name in fields.items():
        if target in ARRIVALS:
            made["arrival_us"], quantum_us = _arrivals(table, target, name)
        elif target in THINK_TIMES:
            think_us = table.numbers(name, optional=True) * _unit_us(target)
            made["think_time_us"] = np.rint(think_us)
        elif target == "request_id":
            made[target] = table.whole_numbers(name)
        else:
            made[target] = _CONVERSIONS[COLUMNS[target].kind](table, name)
    if "model_id" not in made:
        made["model_id"] = [model] * len(table)
        meta = meta.with_synthetic("model_id")
    meta = msgspec.structs.replace(meta, time_quantum_us=quantum_us)
    return Workload.of(made, meta, table.file, fields)


def _arrivals(table: CsvTable, target: str, name: str) -> tuple[NDArray[np.int64], int]:
    """Microseconds since the start, and their step."""
    if target == "arrival_timestamp":
        stamps_us = table.stamps_ns(name) // 1_000
        quantum_us = stamps.quantum_us(stamps_us, stamps.SECOND_US)
        return stamps_us - stamps_us.min(initial=2**63 - 1), quantum_us
    unit_us = _unit_us(target)
    exact_us = table.numbers(name) * unit_us
    if len(exact_us) and exact_us.max() > LARGEST_US:
        row = int(exact_us.argmax())
        raise refusal(table.file, row + 1, name, exact_us[row] / unit_us, "a time in 64-bit us")
    stamps_us = np.rint(exact_us).astype(np.int64)
    return stamps.since_start(stamps_us), stamps.quantum_us(stamps_us, unit_us)


def _unit_us(target: str) -> int:
    return UNITS_US[target.rpartition("_")[2]]


def _single_arrival(fields: Mapping[str, str]) -> None:
    for targets, least in ((ARRIVALS, 1), (THINK_TIMES, 0)):
        given = [target for target in fields if target in targets]
        if not least <= len(given) <= 1:
            raise TraceError(
                f"column map: targets {given} are not allowed: "
                f"expected {'exactly' if least else 'at most'} one of {', '.join(targets)}"
            )


def _items(table: CsvTable, name: str, convert: Callable[[str], Any]) -> list[Any]:
    cells: list[Any] = []
    for row, text in enumerate(table.texts(name)):
        pieces = [piece.strip() for piece in (text or "").split(ITEM_SEPARATOR)]
        try:
            cells.append(tuple(convert(piece) for piece in pieces if piece) if text else None)
        except ValueError:
            allowed = f"numbers separated by {ITEM_SEPARATOR!r}"
            raise refusal(table.file, row + 1, name, text, allowed) from None
    return cells


_CONVERSIONS: Final[dict[str, Callable[[CsvTable, str], Any]]] = {
    # A double is exact for every count in the schema; request_id alone is wider and required.
    "int": lambda table, name: table.numbers(name, optional=True),
    "float": lambda table, name: table.numbers(name, optional=True),
    "text": lambda table, name: table.texts(name),
    "texts": lambda table, name: _items(table, name, str),
    "floats": lambda table, name: _items(table, name, float),
    "ints": lambda table, name: _items(table, name, int),
}
