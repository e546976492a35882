"""Azure Functions 2021: one invocation a line, by the time it ended and how long it took.

`app`, `func` (hashes), `end_timestamp` and `duration`, seconds (Zhang et al., SOSP 2021;
Azure/AzurePublicDataset), the trace that AlpaServe, dLoRA and HydraServe call azure_v2. An
invocation arrived at `end_timestamp - duration`. It knows no other format.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from traces.formats import stamps
from traces.formats.azure_functions import FunctionMinutes
from traces.formats.column_map import LARGEST_US
from traces.formats.content import Content
from traces.formats.csv_table import CsvTable
from traces.schema import TraceError, refusal
from traces.workload import TraceMeta, Workload

NEEDED: Final = frozenset(("app", "func", "end_timestamp", "duration"))
SOURCE: Final = "Azure Functions 2021 (Azure/AzurePublicDataset)"
LICENCE: Final = "CC-BY-4.0"
US_PER_S = 1_000_000
MINUTE_US = 60 * US_PER_S
MOST_MINUTES = 366 * 1_440


def read(content: Content) -> Workload:
    """Functions as models, apps as tenants; there are no tokens. Raises TraceError."""
    table = CsvTable.of(content)
    arrivals_us, meta = _arrivals(content, table)
    apps = table.texts("app")
    columns = {
        "request_id": np.arange(len(table)),
        "arrival_us": arrivals_us,
        "tenant_id": apps,
        "model_id": _functions(table),
        "service_s": table.numbers("duration"),
    }
    return Workload.of(columns, meta, content.file)


def read_minutes(content: Content) -> FunctionMinutes:
    """Invocations by function and minute, functions in the order of their first line.

    Raises TraceError, also for a trace longer than a year.
    """
    table = CsvTable.of(content)
    arrivals_us, meta = _arrivals(content, table)
    names: dict[str, int] = {}
    function = np.array([names.setdefault(name, len(names)) for name in _functions(table)])
    minute = arrivals_us // MINUTE_US
    minutes = int(minute.max()) + 1
    if minutes > MOST_MINUTES:
        row = int(minute.argmax())
        raise refusal(content.file, row + 1, "end_timestamp", minutes, "at most a year of minutes")
    counts = np.zeros((len(names), minutes), dtype=np.int32)
    np.add.at(counts, (function, minute), 1)
    return FunctionMinutes(tuple(names), counts, 1, meta)


def _arrivals(content: Content, table: CsvTable) -> tuple[NDArray[np.int64], TraceMeta]:
    """Microseconds since the trace began: its own time 0, unless something began before that."""
    if not len(table):
        raise TraceError(f"{content.file}: empty, expected one invocation a line")
    arrivals_us = _us(table, "end_timestamp") - _us(table, "duration")
    first_us = int(arrivals_us.min())
    meta = TraceMeta(
        source=SOURCE,
        licence=LICENCE,
        trace_id=content.stem,
        time_quantum_us=stamps.quantum_us(arrivals_us, stamps.SECOND_US),
        columns_used=("app", "func", "end_timestamp", "duration"),
        columns_ignored=tuple(name for name in table.names if name not in NEEDED),
    ).noted("arrival_us", "end_timestamp - duration")
    if first_us < 0:
        meta = meta.noted("clock", f"time 0 is {-first_us / US_PER_S:g} s before the trace's own")
        arrivals_us = arrivals_us - first_us
    return stamps.since_start(arrivals_us), meta


def _us(table: CsvTable, name: str) -> NDArray[np.int64]:
    exact_us = table.numbers(name) * US_PER_S
    if exact_us.max() > LARGEST_US:
        row = int(exact_us.argmax())
        raise refusal(table.file, row + 1, name, exact_us[row] / US_PER_S, "a time in 64-bit us")
    return np.rint(exact_us).astype(np.int64)


def _functions(table: CsvTable) -> list[str]:
    """`func` is a hash that two apps may share: a function is named by both."""
    names = []
    for row, (app, func) in enumerate(zip(table.texts("app"), table.texts("func"), strict=True)):
        for column, name in (("app", app), ("func", func)):
            if name is None:
                raise refusal(table.file, row + 1, column, None, "a name")
        names.append(f"{app}/{func}")
    return names
