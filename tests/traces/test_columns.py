"""The columns that a record is made of."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.columns import CHUNK, Columns, RowIndex, Rows, latest_before

FACTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=30)


def test_rows_come_back_in_order_over_many_chunks() -> None:
    rows = Rows(np.dtype([("a", "i8"), ("b", "f8")]))
    for i in range(2 * CHUNK + 3):
        rows.add((i, i / 2))
    assert np.array_equal(rows.array()["a"], np.arange(2 * CHUNK + 3))
    assert rows.array()["b"][-1] == (2 * CHUNK + 2) / 2


def test_columns_without_rows_keep_their_dtypes() -> None:
    first, second = Columns("i4", "f8").arrays()
    assert (first.dtype.name, second.dtype.name, len(first)) == ("int32", "float64", 0)


@given(ids=st.lists(st.integers(0, 1000), unique=True, max_size=20), asked=st.integers(-5, 1005))
@settings(max_examples=60, deadline=None)
def test_a_row_is_found_whether_or_not_ids_are_dense(ids: list[int], asked: int) -> None:
    found = RowIndex(np.array(ids, np.int64)).rows(np.array([asked, *ids], np.int64))
    assert found[0] == (ids.index(asked) if asked in ids else -1)
    assert np.array_equal(found[1:], np.arange(len(ids)))


@given(facts=FACTS, queries=FACTS)
@settings(max_examples=100, deadline=None)
def test_latest_before_agrees_with_a_search_by_hand(
    facts: list[tuple[int, int]], queries: list[tuple[int, int]]
) -> None:
    keys, at = (np.array([f[i] for f in facts], np.int64) for i in (0, 1))
    query_keys, query_at = (np.array([q[i] for q in queries], np.int64) for i in (0, 1))
    found = latest_before(keys, at.astype(float), query_keys, query_at.astype(float))
    for index, (key, time) in zip(found, queries, strict=True):
        legal = [when for k, when in facts if k == key and when <= time]
        if legal:
            assert facts[index] == (key, max(legal))
        else:
            assert index == -1
