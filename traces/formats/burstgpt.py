"""BurstGPT: requests to ChatGPT and GPT-4 on a campus, one a line.

`Timestamp` (s), `Model`, `Request tokens`, `Response tokens`, `Total tokens`, `Log Type`; the third
file adds `Session ID` and `Elapsed time` (s) (Wang et al., KDD 2025; HPMLL/BurstGPT). A response of
0 tokens is a request that failed. It knows no other format.
"""

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from traces.formats import column_map
from traces.formats.column_map import ColumnMap
from traces.formats.content import Content
from traces.formats.csv_table import header
from traces.sessions import turns_before
from traces.workload import TraceMeta, Workload

STAMPS: Final = ("Timestamp", "Timestamp(s)")
NEEDED: Final = frozenset(("Model", "Request tokens", "Response tokens"))
FINISHED, FAILED = "finished", "failed"
US_PER_S = 1_000_000
# As many gaps that are all alike are no recording.
ENOUGH_GAPS = 32


def fits(names: list[str]) -> bool:
    """Whether a CSV with these columns is one of its files."""
    return set(names) >= NEEDED and any(stamp in names for stamp in STAMPS)


def read(content: Content) -> Workload:
    """Think times follow from `Elapsed time`, where the file has it. Raises TraceError."""
    mapped = column_map.read(content, _map(header(content)), "")
    frame = mapped.frame
    failed = (frame["output_tokens"] == 0).fillna(False).to_numpy(dtype=bool)
    meta = mapped.meta.noted("status", f"{int(failed.sum())} failed, by a response of 0 tokens")
    meta = _suspected(frame["arrival_us"].to_numpy(), meta)
    columns = {str(name): frame[name] for name in frame}
    columns["status"] = pd.Series(np.where(failed, FAILED, FINISHED), dtype=object)
    if "session_id" in frame and "service_s" in frame:
        columns["think_time_us"] = _think_us(frame)
        meta = meta.with_synthetic("think_time_us").noted(
            "think_time", "from the end of the session's request before, by its elapsed time"
        )
    return Workload.of(columns, meta.with_synthetic("status"), content.file)


def _map(names: list[str]) -> ColumnMap:
    return ColumnMap(
        {
            "arrival_s": next((stamp for stamp in STAMPS if stamp in names), STAMPS[0]),
            "model_id": "Model",
            "prompt_tokens": "Request tokens",
            "output_tokens": "Response tokens",
        },
        source="BurstGPT (HPMLL/BurstGPT)",
        licence="CC-BY-4.0",
        optional={
            "slo_class": "Log Type",
            "session_id": "Session ID",
            "service_s": "Elapsed time",
        },
    )


def _think_us(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Missing where nothing came before in the session, or nobody knows when that ended."""
    before = turns_before(frame)
    arrivals_us = frame["arrival_us"].to_numpy()
    ended_us = arrivals_us + frame["service_s"].to_numpy(dtype=np.float64) * US_PER_S
    think_us = arrivals_us - ended_us[before]
    missing = (before < 0) | np.isnan(think_us)
    whole = np.where(missing, 0, np.maximum(np.rint(np.nan_to_num(think_us)), 0))
    return pd.Series(pd.arrays.IntegerArray(whole.astype(np.int64), missing))


def _suspected(arrivals_us: NDArray[np.int64], meta: TraceMeta) -> TraceMeta:
    """A file that goes round under this name has a request every second; nobody recorded it."""
    gaps = np.diff(arrivals_us)
    if len(gaps) < ENOUGH_GAPS or not gaps[0] or not np.all(gaps == gaps[0]):
        return meta
    step = f"every gap is {gaps[0] / US_PER_S:g} s"
    return meta.noted("suspicious", f"{step}: this is no recording of BurstGPT")
