"""Growing numpy columns, and the two joins a journal needs: by id, and to the latest before.

Knows no event, no request and no unit.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Python objects held back before they become columns. Small enough to stay in cache.
CHUNK: Final = 1024


class Rows:
    """A log of tuples, kept as a structured array of `dtype`."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._waiting: list[tuple[Any, ...]] = []
        self._chunks: list[NDArray[np.void]] = []

    def add(self, row: tuple[Any, ...]) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= CHUNK:
            self._flush()

    def array(self) -> NDArray[np.void]:
        """All rows so far, shape (n,)."""
        self._flush()
        if not self._chunks:
            return np.empty(0, self._dtype)
        return np.concatenate(self._chunks)

    @property
    def nbytes(self) -> int:
        return sum(chunk.nbytes for chunk in self._chunks)

    def _flush(self) -> None:
        if self._waiting:
            self._chunks.append(np.array(self._waiting, self._dtype))
            self._waiting.clear()


class Columns:
    """Chunks of parallel arrays, one dtype a column."""

    def __init__(self, *dtypes: str) -> None:
        self._dtypes = dtypes
        self._chunks: list[tuple[NDArray[Any], ...]] = []

    def extend(self, *columns: Sequence[Any]) -> None:
        """Append lists of equal length, one a column."""
        pairs = zip(columns, self._dtypes, strict=True)
        self._chunks.append(tuple(np.array(column, dtype) for column, dtype in pairs))

    def arrays(self) -> list[NDArray[Any]]:
        """Each column whole, shape (n,)."""
        if not self._chunks:
            return [np.empty(0, dtype) for dtype in self._dtypes]
        return [np.concatenate(column) for column in zip(*self._chunks, strict=True)]

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for chunk in self._chunks for array in chunk)


class RowIndex:
    """The row of an id. Ids may have gaps; those dense from 0 cost no search."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self._n = len(ids)
        self._dense = bool(np.array_equal(ids, np.arange(self._n)))
        self._order = np.empty(0, np.int64) if self._dense else np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each id, -1 for one that is unknown; shape as `ids`."""
        if self._dense:
            return np.where((ids >= 0) & (ids < self._n), ids, -1)
        if not self._n:
            return np.full(len(ids), -1)
        at = np.minimum(np.searchsorted(self._sorted, ids), self._n - 1)
        return np.where(self._sorted[at] == ids, self._order[at], -1)


def latest_before(
    keys: NDArray[np.int64],
    at: NDArray[np.float64],
    query_keys: NDArray[np.int64],
    query_at: NDArray[np.float64],
) -> NDArray[np.int64]:
    """For each query, the index of the last fact with its key at or before its time; else -1.

    Keys are >= 0. Both are folded into one integer that sorts by (key, rank of time), so the
    join is one binary search a query, exact at equal times.
    """
    if not len(keys):
        return np.full(len(query_keys), -1)
    order = np.lexsort((at, keys))
    times = np.unique(at)
    width = len(times) + 1
    codes = keys[order] * width + np.searchsorted(times, at[order]) + 1
    queries = query_keys * width + np.searchsorted(times, query_at, side="right")
    found = np.searchsorted(codes, queries, side="right") - 1
    index = order[np.maximum(found, 0)]
    return np.where((found >= 0) & (keys[index] == query_keys), index, -1)
