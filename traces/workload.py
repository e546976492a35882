"""A workload: requests with their times, and where each fact about them came from.

It knows the common schema (`traces/schema.py`) and how to cut, scale and complete a trace. It knows
no file format, no cluster and no policy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fleet.streams import Streams
from traces.schema import COLUMNS, TraceError, canonical_frame, is_missing, refusal

__all__ = ["LengthSample", "TraceError", "TraceMeta", "Workload", "name_missing_models"]

US_PER_S = 1_000_000
UNKNOWN_MODEL = "unknown"


class TraceMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What must be known about a trace before its numbers are believed.

    `time_quantum_us` is the step of the stamps (0: exact), `time_compression` how many times faster
    than recorded the trace runs, `synthetic_fields` the columns that the source did not hold.
    `columns_used` and `columns_ignored` speak of the file that was read.
    """

    source: str = ""
    licence: str = ""
    trace_id: str = ""
    time_quantum_us: int = 0
    time_compression: float = 1.0
    synthetic_fields: tuple[str, ...] = ()
    columns_used: tuple[str, ...] = ()
    columns_ignored: tuple[str, ...] = ()
    seed: int | None = None
    notes: dict[str, str] = msgspec.field(default_factory=dict)

    def noted(self, key: str, text: str) -> "TraceMeta":
        """The same with one more note; a note under that key is continued, not lost."""
        before = self.notes.get(key)
        return msgspec.structs.replace(
            self, notes={**self.notes, key: f"{before}; {text}" if before else text}
        )

    def with_synthetic(self, *columns: str) -> "TraceMeta":
        """The same with these columns declared as not from the source."""
        more = tuple(name for name in columns if name not in self.synthetic_fields)
        return msgspec.structs.replace(self, synthetic_fields=self.synthetic_fields + more)


@dataclass(frozen=True, slots=True)
class LengthSample:
    """A named empirical list of (prompt, output) token counts, drawn from as pairs."""

    name: str
    prompt_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]

    def __post_init__(self) -> None:
        if len(self.prompt_tokens) != len(self.output_tokens) or not len(self.prompt_tokens):
            raise TraceError(
                f"length sample {self.name!r}: {len(self.prompt_tokens)} prompt and "
                f"{len(self.output_tokens)} output lengths: expected as many of each, at least one"
            )


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in arrival order, in the canonical frame of `traces.schema`, and their provenance.

    Build one with `Workload.of`, which brings any columns into that form; the constructor trusts.
    """

    frame: pd.DataFrame
    meta: TraceMeta

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Any] | pd.DataFrame,
        meta: TraceMeta,
        file: str = "",
        called: Mapping[str, str] | None = None,
    ) -> "Workload":
        """Typed, checked and sorted. Raises TraceError with file, row (from 1) and column.

        `called` has the file's own names of columns of the schema, for messages.
        """
        return cls(canonical_frame(columns, file or meta.source or "workload", called), meta)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def duration_s(self) -> float:
        """From time 0 to the last arrival, seconds."""
        return int(self.frame["arrival_us"].iloc[-1]) / US_PER_S if len(self) else 0.0

    @property
    def arrivals_s(self) -> NDArray[np.float64]:
        """Arrival times, seconds since the start of the trace."""
        return self.frame["arrival_us"].to_numpy() / US_PER_S

    def models(self) -> tuple[str, ...]:
        """Names of the models that are asked for, sorted."""
        return tuple(sorted(set(self.frame["model_id"])))

    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that are asked for, sorted."""
        return tuple(sorted({name for names in self.frame["adapter_ids"] for name in names}))

    def tenants(self) -> tuple[str, ...]:
        """Names of the tenants, sorted; empty where the trace knows none."""
        if "tenant_id" not in self.frame:
            return ()
        return tuple(sorted(set(self.frame["tenant_id"].dropna())))

    def validate(self) -> None:
        """Raise TraceError at the first cell that breaks the schema or row out of order."""
        file = self.meta.source or "workload"
        ordered = canonical_frame(self.frame, file)
        rows = np.flatnonzero(
            ordered["request_id"].to_numpy() != self.frame["request_id"].to_numpy()
        )
        if len(rows):
            row = int(rows[0])
            value = int(self.frame["arrival_us"].iloc[row])
            raise refusal(
                file, row + 1, "arrival_us", value, "rows sorted by arrival_us then request_id"
            )

    def limit(self, requests: int) -> "Workload":
        """The first so many requests."""
        if requests < 0:
            raise TraceError(f"limit: {requests} is not allowed: expected 0 or more requests")
        if requests >= len(self):
            return self
        meta = self.meta.noted("limit", f"first {requests} of {len(self)} requests")
        return _of_rows(self.frame.iloc[:requests], meta)

    def between(self, start_s: float = 0.0, duration_s: float = math.inf) -> "Workload":
        """Arrivals in [start_s, start_s + duration_s), with time 0 moved to start_s."""
        if not (0 <= start_s < math.inf and duration_s > 0):
            raise TraceError(
                f"slice: start {start_s} s, duration {duration_s} s are not allowed: "
                "expected a start of 0 or more and a duration above 0"
            )
        start_us = round(start_s * US_PER_S)
        arrivals = self.frame["arrival_us"].to_numpy()
        first = int(np.searchsorted(arrivals, start_us))
        last = len(self)
        if math.isfinite(duration_s):
            last = int(np.searchsorted(arrivals, start_us + round(duration_s * US_PER_S)))
        kept = self.frame.iloc[first:last].assign(arrival_us=arrivals[first:last] - start_us)
        return _of_rows(kept, self.meta.noted("slice", f"{duration_s:g} s from {start_s:g} s"))

    def compress(self, factor: float) -> "Workload":
        """`factor` times the arrival rate: arrivals and think times shrink alike, service does not.

        Keep-alive times mean something else afterwards, which is why the factor is in the meta.
        """
        if not 0 < factor < math.inf:
            raise TraceError(f"compress: {factor} is not allowed: expected a factor above 0")
        frame = self.frame.assign(arrival_us=_divided(self.frame["arrival_us"], factor))
        if "think_time_us" in frame:
            known = frame["think_time_us"].notna()
            frame.loc[known, "think_time_us"] = _divided(frame["think_time_us"][known], factor)
        quantum_us = self.meta.time_quantum_us
        meta = msgspec.structs.replace(
            self.meta,
            time_compression=self.meta.time_compression * factor,
            time_quantum_us=max(1, round(quantum_us / factor)) if quantum_us else 0,
        )
        # Two stamps may have met after rounding: request_id then decides.
        return Workload(canonical_frame(frame, "compressed workload"), meta)

    def jitter(self, seed: int) -> "Workload":
        """Each batch of equal stamps spread uniformly over [stamp, stamp + quantum), in its order.

        A trace with exact stamps comes back as it is.
        """
        quantum_us = self.meta.time_quantum_us
        if quantum_us == 0:
            return self
        arrivals = self.frame["arrival_us"].to_numpy()
        draws = Streams(seed).array("traces/jitter").integers(0, quantum_us, len(arrivals))
        # Sorted within a batch, so that the order of the source is kept.
        spread = arrivals + draws[np.lexsort((draws, arrivals))]
        frame = self.frame.assign(arrival_us=spread)
        meta = msgspec.structs.replace(self.meta, time_quantum_us=0)
        meta = meta.noted("jitter", f"U(0, {quantum_us} us) in each batch, seed {seed}")
        # Stamps closer than the quantum may overlap once spread.
        return Workload(canonical_frame(frame, "jittered workload"), meta)

    def with_lengths(self, lengths: LengthSample, seed: int) -> "Workload":
        """Missing token counts drawn, as (prompt, output) pairs with replacement, from `lengths`.

        Counts that are there stay. The columns that were completed become synthetic fields.
        """
        picks = (
            Streams(seed).array("traces/lengths").integers(0, len(lengths.prompt_tokens), len(self))
        )
        columns = {str(name): self.frame[name] for name in self.frame}
        filled = []
        for name, source in (
            ("prompt_tokens", lengths.prompt_tokens),
            ("output_tokens", lengths.output_tokens),
        ):
            drawn = pd.Series(source[picks], dtype="Int32")
            known = columns.get(name)
            if known is None or known.isna().any():
                columns[name] = drawn if known is None else known.fillna(drawn)
                filled.append(name)
        if not filled:
            return self
        meta = self.meta.with_synthetic(*filled)
        return Workload.of(columns, meta.noted("lengths", f"{lengths.name}, seed {seed}"))


def name_missing_models(
    models: Sequence[str | None], meta: TraceMeta
) -> tuple[list[str], TraceMeta]:
    """Models named `UNKNOWN_MODEL` where the source has none, and the meta data that says so.

    GenTD26 logs requests that ended before a model was chosen.
    """
    named = [UNKNOWN_MODEL if is_missing(model) else str(model) for model in models]
    gaps = sum(is_missing(model) for model in models)
    if gaps:
        meta = meta.noted("model_id", f"{gaps} requests name no model: {UNKNOWN_MODEL!r} here")
    return named, meta


def _of_rows(rows: pd.DataFrame, meta: TraceMeta) -> Workload:
    """Without the columns that have no value left."""
    frame = rows.reset_index(drop=True)
    empty = [name for name in frame if not COLUMNS[str(name)].required and frame[name].isna().all()]
    return Workload(frame.drop(columns=empty), meta)


def _divided(us: "pd.Series[Any]", factor: float) -> NDArray[np.int64]:
    return np.rint(us.to_numpy(dtype="int64") / factor).astype(np.int64)
