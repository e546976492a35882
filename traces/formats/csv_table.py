"""A CSV as named columns of text, with conversions that name the row and column they refuse.

Rows are data rows, counted from 1: neither the header nor an empty line counts. It knows no trace.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from traces.formats.content import Content
from traces.schema import TraceError, refusal

UTF8_MARK = b"\xef\xbb\xbf"
WHOLE = "a whole number of 0 or more"
NUMBER = "a finite number of 0 or more"
STAMP = "a time such as 2023-11-16 18:15:46.68"


@dataclass(frozen=True, slots=True)
class CsvTable:
    """Columns as text, blanks around a cell stripped; an empty cell is missing."""

    file: str
    table: Any

    @classmethod
    def of(cls, content: Content) -> "CsvTable":
        """Raises TraceError for text that is not UTF-8 and for a row too long or too short."""
        content.check_text()
        written = _header_cells(content)
        names = [name.strip() for name in written]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise refusal(content.file, None, twice[0], "the name", "each column name once")
        return cls(content.file, _parsed(content, written))

    @property
    def names(self) -> list[str]:
        return list(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def whole_numbers(self, name: str) -> NDArray[np.int64]:
        """Shape (rows,): "42" and "42.0" are 42. No cell may be missing."""
        numbers = self._cast(name, pa.int64(), WHOLE, otherwise=pa.float64())
        values = numbers.to_numpy(zero_copy_only=False)
        bad = values < 0
        if values.dtype.kind == "f":
            bad = ~(np.isfinite(values) & (values >= 0) & (values == np.floor(values)))
            bad |= values >= 2.0**63
        self._refuse_first(bad, name, WHOLE)
        return np.asarray(values, dtype=np.int64)

    def numbers(self, name: str, *, optional: bool = False) -> NDArray[np.float64]:
        """Shape (rows,); an empty cell is NaN where `optional`, else refused."""
        cast = self._cast(name, pa.float64(), NUMBER, optional=optional)
        values = np.asarray(cast.to_numpy(zero_copy_only=False), dtype=np.float64)
        empty = np.asarray(cast.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        self._refuse_first(~empty & ~(np.isfinite(values) & (values >= 0)), name, NUMBER)
        return values

    def texts(self, name: str) -> list[str | None]:
        """None where the cell is empty."""
        return list(self._column(name).to_pylist())

    def stamps_ns(self, name: str) -> NDArray[np.int64]:
        """Nanoseconds since 1970; a stamp without a zone is taken as it stands."""
        zoned = pa.timestamp("ns", "UTC")
        stamps = self._cast(name, pa.timestamp("ns"), STAMP, otherwise=zoned)
        return np.asarray(stamps.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)

    def counts(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Shape (rows, names)."""
        counts = np.zeros((len(self), len(names)), dtype=np.int32)
        for place, name in enumerate(names):
            values = self.whole_numbers(name)
            self._refuse_first(values > np.iinfo(np.int32).max, name, "a count below 2**31")
            counts[:, place] = values
        return counts

    def _column(self, name: str) -> Any:
        if name not in self.table.column_names:
            raise refusal(self.file, None, name, "no such column", ", ".join(self.names))
        column = pc.utf8_trim_whitespace(self.table.column(name).combine_chunks())
        return pc.if_else(pc.equal(column, ""), None, column)

    def _cast(
        self, name: str, kind: Any, allowed: str, *, otherwise: Any = None, optional: bool = False
    ) -> Any:
        column = self._column(name)
        if column.null_count and not optional:
            self._refuse_first(
                np.asarray(column.is_null().to_numpy(zero_copy_only=False)), name, allowed
            )
        kinds = [kind] if otherwise is None else [kind, otherwise]
        for candidate in kinds:
            try:
                return column.cast(candidate)
            except pa.ArrowInvalid:
                continue
        raise self._uncastable(column, name, kinds, allowed)

    def _uncastable(self, column: Any, name: str, kinds: list[Any], allowed: str) -> TraceError:
        """For the first cell of no kind, else the first that is not of the first cell's kind."""
        fits = np.array([[_casts(cell, kind) for kind in kinds] for cell in column])
        odd = ~fits.any(axis=1)
        if not odd.any():
            odd = ~fits[:, int(fits[0].argmax())]
        row = int(odd.argmax())
        return refusal(self.file, row + 1, name, self.table.column(name)[row].as_py(), allowed)

    def _refuse_first(self, bad: NDArray[np.bool_], name: str, allowed: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            cell = self.table.column(name)[row].as_py()
            raise refusal(self.file, row + 1, name, cell, allowed)


def header(content: Content) -> list[str]:
    """The names in the first line, stripped. Raises TraceError for an empty file."""
    return [name.strip() for name in _header_cells(content)]


def _header_cells(content: Content) -> list[str]:
    line = content.data.removeprefix(UTF8_MARK).lstrip(b"\r\n").split(b"\n", 1)[0]
    if not line.strip():
        raise TraceError(f"{content.file}: empty, expected a header line with column names")
    return next(csv.reader([line.decode("utf-8", "replace").rstrip("\r")]))


def _parsed(content: Content, names: list[str]) -> Any:
    refused: list[TraceError] = []

    def refuse(row: Any) -> str:
        found = f"{row.actual_columns} cells"
        # Arrow counts the header as row 1.
        refused.append(
            refusal(content.file, row.number - 1, None, found, f"{row.expected_columns} cells")
        )
        return "error"

    try:
        return pa_csv.read_csv(
            pa.BufferReader(content.data.removeprefix(UTF8_MARK)),
            # Rows have numbers only where one thread reads.
            pa_csv.ReadOptions(use_threads=False),
            pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            pa_csv.ConvertOptions(column_types={name: pa.string() for name in names}),
        ).rename_columns([name.strip() for name in names])
    except pa.ArrowInvalid as error:
        if refused:
            raise refused[0] from None
        raise TraceError(f"{content.file}: {' '.join(str(error).split())[:200]}") from None


def _casts(cell: Any, kind: Any) -> bool:
    try:
        cell.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
