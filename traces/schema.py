"""Schemas: columns, types and ranges, the common one of requests, and the check of what breaks one.

It knows columns and rows. It knows no file format: a reader hands it columns, and the name of the
file so that an error can say where. Rows are counted from 1, in the order in which they came.
"""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype

INT64_MAX = 2**63 - 1
INT32_MAX = 2**31 - 1
INT16_MAX = 2**15 - 1

Kind = Literal["int", "text", "float", "double", "flag", "texts", "floats", "ints"]
Width = Literal["int64", "Int64", "Int32", "Int16", "Int8"]


class TraceError(ValueError):
    """A trace that cannot be used; the message is one line, whatever names a file has in it."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `width` is pandas' type of an integer column, `high` its inclusive bound.

    Texts, flags and tuples are cells of type object; `float` is float32, `double` float64.
    """

    kind: Kind
    width: Width = "Int64"
    required: bool = False
    high: int = INT64_MAX


# arrival_us counts from the start of the trace; think_time_us from the completion of the session's
# previous request. No scheduler may see output_tokens or service_s.
COLUMNS: dict[str, Column] = {
    "request_id": Column("int", "int64", required=True),
    "arrival_us": Column("int", "int64", required=True),
    "tenant_id": Column("text"),
    "session_id": Column("text"),
    "turn": Column("int", "Int32", high=INT32_MAX),
    "think_time_us": Column("int"),
    "model_id": Column("text", required=True),
    "adapter_ids": Column("texts", required=True),
    "adapter_scales": Column("floats"),
    "prompt_tokens": Column("int", "Int32", high=INT32_MAX),
    "output_tokens": Column("int", "Int32", high=INT32_MAX),
    "block_size": Column("int", "Int16", high=INT16_MAX),
    "prefix_hash_ids": Column("ints"),
    "slo_class": Column("text"),
    "service_s": Column("float"),
    "status": Column("text"),
    "extra": Column("text"),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns, and the two that order the rows: a time, then an id that each row has to itself."""

    columns: Mapping[str, Column]
    at: str
    id: str


REQUESTS = Schema(COLUMNS, "arrival_us", "request_id")


def refusal(
    file: str, row: int | None, column: str | None, value: object, allowed: str
) -> TraceError:
    """The one line that says where (file, row, column), what was found and what is allowed."""
    where = [file]
    if row is not None:
        where.append(f"row {row}")
    if column is not None:
        where.append(f"column {column!r}")
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return TraceError(f"{', '.join(where)}: {shown} is not allowed: expected {allowed}")


def canonical_frame(
    columns: Mapping[str, Any] | pd.DataFrame,
    file: str,
    called: Mapping[str, str] | None = None,
    schema: Schema = REQUESTS,
) -> pd.DataFrame:
    """The columns in schema order and type, sorted by the schema's time, then its id.

    `called` has the file's own names of columns, for messages.

    An optional column without a single value is left out; a missing adapter set is the empty one.
    Missing is None (text, tuples), NA (integers) or NaN (service_s). Raises TraceError.
    """
    unknown = [name for name in columns if name not in schema.columns]
    if unknown:
        allowed = f"one of {', '.join(schema.columns)}"
        raise refusal(file, None, str(unknown[0]), "the column", allowed)
    made: dict[str, pd.Series[Any]] = {}
    for name, column in schema.columns.items():
        if name in columns:
            series = _Check(file, (called or {}).get(name, name), column).typed(columns[name])
            if column.required or series.notna().any():
                made[name] = series
        elif column.required and column.kind == "texts":
            no_adapters = [None] * len(columns[schema.id])
            made[name] = _Check(file, (called or {}).get(name, name), column).typed(no_adapters)
        elif column.required:
            raise refusal(file, None, name, "no such column", "the column to be there")
    frame = pd.DataFrame(made)
    _check_ids(frame, file, schema.id)
    _check_scales(frame, file)
    order: NDArray[np.intp] = np.lexsort((frame[schema.id].to_numpy(), frame[schema.at].to_numpy()))
    if np.array_equal(order, np.arange(len(frame))):
        return frame
    ordered: pd.DataFrame = frame.iloc[order].reset_index(drop=True)
    return ordered


def _check_ids(frame: pd.DataFrame, file: str, name: str) -> None:
    twice = frame[name].duplicated().to_numpy()
    if twice.any():
        row = int(twice.argmax())
        raise refusal(file, row + 1, name, int(frame[name].iloc[row]), f"each {name} once")


def _check_scales(frame: pd.DataFrame, file: str) -> None:
    if "adapter_scales" not in frame:
        return
    for row, (ids, scales) in enumerate(
        zip(frame["adapter_ids"], frame["adapter_scales"], strict=True)
    ):
        if scales is not None and len(scales) != len(ids):
            raise refusal(file, row + 1, "adapter_scales", scales, f"{len(ids)} scales")


def is_missing(value: object) -> bool:
    """None, NA, NaN or NaT; a sequence is never missing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


@dataclass(frozen=True, slots=True)
class _Check:
    """One column's conversion to its type, refusing the first cell that does not fit."""

    file: str
    name: str
    column: Column

    def typed(self, values: Any) -> "pd.Series[Any]":
        makers: dict[Kind, Callable[[Any], pd.Series[Any]]] = {
            "int": self._ints,
            "float": lambda cells: self._floats(cells, np.float32),
            "double": lambda cells: self._floats(cells, np.float64),
            "flag": lambda cells: self._cells(cells, _flag, "true or false"),
            "text": lambda cells: self._cells(cells, _text, "a non-empty text"),
            "texts": lambda cells: self._cells(cells, _texts, "a list of non-empty texts"),
            "floats": lambda cells: self._cells(cells, _float32s, "a list of finite numbers"),
            "ints": lambda cells: self._cells(cells, _int64s, "a list of 64-bit integers"),
        }
        return makers[self.column.kind](values)

    def _ints(self, values: Any) -> "pd.Series[Any]":
        allowed = f"a whole number from 0 to {self.column.high}"
        try:
            # A number too large for 64 bits becomes a float on the way, and is not to be cut off.
            with np.errstate(invalid="raise"):
                if infer_dtype(values, skipna=True) in ("string", "boolean"):
                    raise TypeError
                whole = pd.array(values, dtype="Int64")
        except (TypeError, ValueError, OverflowError, FloatingPointError):
            self._refuse_first(list(values), _whole, allowed)
            raise
        missing = np.asarray(whole.isna())
        bare = whole.to_numpy(dtype="int64", na_value=0)
        bad = (bare < 0) | (bare > self.column.high)
        if self.column.required:
            bad |= missing
        if bad.any():
            row = int(bad.argmax())
            raise refusal(self.file, row + 1, self.name, whole[row], allowed)
        series: pd.Series[Any] = pd.Series(whole).astype(self.column.width)
        return series

    def _floats(self, values: Any, width: Any) -> "pd.Series[Any]":
        allowed = "a finite number of 0 or more"
        self._refuse_first(list(values), _not_negative, allowed)
        cells = [math.nan if is_missing(value) else float(value) for value in values]
        missing = np.isnan(cells)
        if self.column.required and missing.any():
            raise refusal(self.file, int(missing.argmax()) + 1, self.name, None, allowed)
        return pd.Series(np.asarray(cells, dtype=width))

    def _cells(self, values: Any, make: Callable[[Any], object], allowed: str) -> "pd.Series[Any]":
        cells = np.empty(len(values), dtype=object)
        nothing: object = () if self.column.required and self.column.kind == "texts" else None
        for row, value in enumerate(values):
            if is_missing(value):
                if self.column.required and nothing is None:
                    raise refusal(self.file, row + 1, self.name, None, allowed)
                cells[row] = nothing
                continue
            try:
                cells[row] = make(value)
            except (TypeError, ValueError, OverflowError):
                raise refusal(self.file, row + 1, self.name, value, allowed) from None
        return pd.Series(cells, dtype=object)

    def _refuse_first(
        self, values: Sequence[Any], make: Callable[[Any], object], allowed: str
    ) -> None:
        for row, value in enumerate(values):
            if is_missing(value):
                continue
            try:
                make(value)
            except (TypeError, ValueError, OverflowError):
                raise refusal(self.file, row + 1, self.name, value, allowed) from None


def _whole(value: Any) -> int:
    if isinstance(value, str | bool) or int(value) != value or abs(value) > INT64_MAX:
        raise ValueError
    return int(value)


def _not_negative(value: Any) -> float:
    number = float(value)
    if isinstance(value, str) or not 0 <= number < math.inf:
        raise ValueError
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError
    return tuple(_text(item) for item in value)


def _float32s(value: Any) -> tuple[float, ...]:
    narrow = np.asarray(value, dtype=np.float32)
    if narrow.ndim != 1 or not np.isfinite(narrow).all():
        raise ValueError
    return tuple(narrow.tolist())


def _int64s(value: Any) -> tuple[int, ...]:
    return tuple(array("q", value))
