"""Azure Functions 2019: invocations of each function in each minute of a day.

The publisher's CSV has HashOwner, HashApp, HashFunction, Trigger and one column a minute, named by
its number (Shahrad et al., ATC 2020; Azure/AzurePublicDataset). The normalised parquet has
`function` and the same minute columns. Counts have no models and no request times: a synthesiser
maps functions onto models, `spread` draws the times. This module knows neither popularity nor
lengths.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fleet.streams import Streams
from traces.formats.content import Content
from traces.formats.csv_table import CsvTable
from traces.formats.parquet_table import read_table
from traces.schema import TraceError, refusal
from traces.workload import TraceMeta, Workload

MINUTE_US = 60_000_000
# A request takes about 100 bytes of memory as it is drawn.
MOST_SPREAD = 50_000_000
SOURCE = "Azure Functions 2019 (Azure/AzurePublicDataset)"
LICENCE = "CC-BY-4.0"


@dataclass(frozen=True, slots=True)
class FunctionMinutes:
    """`counts[f, k]`: invocations of `functions[f]` in minute `first_minute + k` of the day."""

    functions: tuple[str, ...]
    counts: NDArray[np.int32]
    first_minute: int
    meta: TraceMeta

    @property
    def minutes(self) -> int:
        return int(self.counts.shape[1])

    @property
    def invocations(self) -> int:
        return int(self.counts.sum(dtype=np.int64))

    def spread(self, seed: int) -> Workload:
        """Every invocation as a request for a model named as its function, uniform in its minute.

        Time 0 is the start of the first minute. Uniform spreading is a choice, the traces hold no
        time within a minute: `arrival_us` becomes a synthetic field. Raises TraceError beyond
        `MOST_SPREAD` invocations.
        """
        if self.invocations > MOST_SPREAD:
            raise TraceError(
                f"{self.meta.trace_id}: {self.invocations:,} invocations are too many to spread: "
                f"expected at most {MOST_SPREAD:,}"
            )
        function, minute = np.nonzero(self.counts)
        times = self.counts[function, minute]
        starts_us = np.repeat(minute.astype(np.int64) * MINUTE_US, times)
        draws = Streams(seed).array("traces/spread").integers(0, MINUTE_US, len(starts_us))
        arrivals_us = starts_us + draws
        order = np.argsort(arrivals_us, kind="stable")
        names = np.array(self.functions, dtype=object)[np.repeat(function, times)]
        columns = {
            "request_id": np.arange(len(order)),
            "arrival_us": arrivals_us[order],
            "model_id": names[order],
        }
        meta = self.meta.with_synthetic("arrival_us")
        meta = meta.noted("spread", f"uniform in each minute, seed {seed}")
        return Workload.of(columns, meta)


def minute_columns(names: list[str]) -> list[str]:
    """The columns that are named by a number."""
    return [name for name in names if name.isascii() and name.isdigit()]


def read_csv(content: Content) -> FunctionMinutes:
    """Raises TraceError for a count that is none and for minutes that do not follow each other."""
    table = CsvTable.of(content)
    minutes = _following(content.file, minute_columns(table.names))
    functions = _named(table.file, table.texts("HashFunction"))
    ignored = tuple(name for name in table.names if name not in minutes and name != "HashFunction")
    meta = TraceMeta(
        source=SOURCE,
        licence=LICENCE,
        trace_id=content.stem,
        columns_used=("HashFunction", f"{minutes[0]}..{minutes[-1]}"),
        columns_ignored=ignored,
    )
    return FunctionMinutes(functions, table.counts(minutes), int(minutes[0]), meta)


def read_parquet(content: Content) -> FunctionMinutes:
    """The normalised form. Raises TraceError like `read_csv`."""
    table = read_table(content)
    minutes = _following(content.file, minute_columns(table.column_names))
    counts = np.zeros((table.num_rows, len(minutes)), dtype=np.int32)
    for place, name in enumerate(minutes):
        counts[:, place] = _counts(content.file, name, table.column(name))
    ignored = tuple(n for n in table.column_names if n not in minutes and n != "function")
    meta = TraceMeta(
        source=SOURCE,
        licence=LICENCE,
        trace_id=content.stem,
        columns_used=("function", f"{minutes[0]}..{minutes[-1]}"),
        columns_ignored=ignored,
    )
    functions = _named(content.file, table.column("function").to_pylist())
    return FunctionMinutes(functions, counts, int(minutes[0]), meta)


def _counts(file: str, name: str, column: pa.ChunkedArray) -> NDArray[np.int32]:
    if not pa.types.is_integer(column.type):
        raise refusal(file, None, name, str(column.type), "whole numbers")
    values = column.to_pylist()
    for row, value in enumerate(values):
        if value is None or not 0 <= value < 2**31:
            raise refusal(file, row + 1, name, value, "a whole number of 0 or more")
    return np.array(values, dtype=np.int32)


def _following(file: str, minutes: list[str]) -> list[str]:
    if not minutes:
        raise refusal(file, None, None, "no minute column", "columns named 1 .. 1440")
    for before, after in pairwise(minutes):
        if int(after) != int(before) + 1:
            raise refusal(file, None, after, after, f"minute {int(before) + 1} after {before}")
    return minutes


def _named(file: str, functions: list[str | None]) -> tuple[str, ...]:
    """One name a row: the second row of a function (another trigger) is called name#2."""
    seen: dict[str, int] = {}
    names = []
    for row, function in enumerate(functions):
        if function is None:
            raise refusal(file, row + 1, "HashFunction", None, "a name")
        seen[function] = seen.get(function, 0) + 1
        names.append(function if seen[function] == 1 else f"{function}#{seen[function]}")
    return tuple(names)
