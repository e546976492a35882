"""Joins what was seen of requests (arrivals, dispatches, ends) and of loads into one row each.

All of it is columns: no loop over requests. Knows no event type.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.columns import RowIndex, latest_before
from traces.record import Bools, Cold, Floats, Load, Outcome, Requests


class EndKind(IntEnum):
    """What may end a request other than finishing."""

    REJECTED = 0
    TIMED_OUT = 1
    FAILED = 2
    ABANDONED = 3
    CANCELLED = 4


END: Final = np.dtype([("request", "i8"), ("at", "f8"), ("kind", "i1")])


class Seen(NamedTuple):
    """Logs of a run, in order of time; requests by id."""

    arrived: Sequence[NDArray[Any]]  # id, model, adapter, tenant, prompt, prefix, arrived_at
    sent: Sequence[NDArray[Any]]  # id, instance, at
    done: Sequence[
        NDArray[Any]
    ]  # id, scheduled_at, first_token_at, ended_at, tokens, cached, longest
    ends: NDArray[np.void]  # of dtype END
    preempted: NDArray[np.int64]
    moved: NDArray[np.int64]


class _Waited(NamedTuple):
    """What each request waited for, shape (n,): the load's index (or -1) and its seconds."""

    load: NDArray[np.int64]
    wait_s: Floats


def requests_of(seen: Seen, loads: Sequence[Load], attaches: NDArray[np.void]) -> Requests:
    """One row an arrived request; what is known only of other ids is left out."""
    ids, model, adapter, tenant, prompt_tokens, prefix_tokens, arrived_at = seen.arrived
    index = RowIndex(ids)
    n = len(ids)
    instance = _last(index, n, seen.sent[0], seen.sent[1], -1)
    dispatched_at = _last(index, n, seen.sent[0], seen.sent[2], np.nan)
    scheduled_at, first_token_at, finished_at, tokens, cached_tokens, longest_gap_s = (
        _last(index, n, seen.done[0], column, 0 if column.dtype.kind == "i" else np.nan)
        for column in seen.done[1:]
    )
    outcome, ended_at = _outcomes(index, seen.ends, finished_at, dispatched_at)
    usable_at = np.fmin(dispatched_at, np.where(np.isnan(first_token_at), np.inf, first_token_at))
    cold = _waited_for_load(loads, instance, arrived_at, usable_at)
    late = _waited_for_attach(attaches, instance, adapter, (arrived_at, usable_at))
    return Requests(
        id=ids,
        model=model,
        adapter=adapter,
        tenant=tenant,
        prompt_tokens=prompt_tokens,
        prefix_tokens=prefix_tokens,
        arrived_at=arrived_at,
        dispatched_at=dispatched_at,
        scheduled_at=scheduled_at,
        first_token_at=first_token_at,
        ended_at=ended_at,
        tokens=tokens,
        cached_tokens=cached_tokens,
        longest_gap_s=longest_gap_s,
        instance=instance,
        outcome=outcome,
        cold=_cold_codes(cold, late),
        source=_sources(cold, late, loads, attaches),
        load=cold.load.astype(np.int32),
        load_wait_s=cold.wait_s + late.wait_s,
        migrations=_count(index, n, seen.moved),
        preemptions=_count(index, n, seen.preempted),
    )


def _last(
    index: RowIndex, n: int, ids: NDArray[Any], values: NDArray[Any], missing: float
) -> NDArray[Any]:
    """The last value logged for each row, or `missing`."""
    column = np.full(n, missing, values.dtype)
    rows = index.rows(ids)
    known = rows >= 0
    column[rows[known]] = values[known]  # of repeated rows numpy keeps the last
    return column


def _count(index: RowIndex, n: int, ids: NDArray[Any]) -> NDArray[np.int32]:
    rows = index.rows(ids)
    return np.bincount(rows[rows >= 0], minlength=n).astype(np.int32)


def _outcomes(
    index: RowIndex, ends: NDArray[np.void], finished_at: Floats, dispatched_at: Floats
) -> tuple[NDArray[np.int8], Floats]:
    """Outcome and its time: finished unless abandoned before, else what the controller said.

    A request cancelled for another reason than its age, or refused after it failed, has failed.
    A failure is final unless the request was dispatched again after it.
    """
    n = len(finished_at)
    at = {kind: _end_times(index, n, ends, kind) for kind in EndKind}
    failed = np.isfinite(at[EndKind.FAILED]) & ~(dispatched_at > at[EndKind.FAILED])
    refused_after_failing = at[EndKind.REJECTED] >= at[EndKind.FAILED]
    finished = np.isfinite(finished_at) & ~(at[EndKind.ABANDONED] < finished_at)
    choices = [
        (finished, Outcome.FINISHED, finished_at),
        (np.isfinite(at[EndKind.ABANDONED]), Outcome.ABANDONED, at[EndKind.ABANDONED]),
        (np.isfinite(at[EndKind.TIMED_OUT]), Outcome.TIMED_OUT, at[EndKind.TIMED_OUT]),
        (refused_after_failing, Outcome.FAILED, at[EndKind.REJECTED]),
        (np.isfinite(at[EndKind.REJECTED]), Outcome.REJECTED, at[EndKind.REJECTED]),
        (np.isfinite(at[EndKind.CANCELLED]), Outcome.FAILED, at[EndKind.CANCELLED]),
        (failed, Outcome.FAILED, at[EndKind.FAILED]),
    ]
    masks = [mask for mask, _, _ in choices]
    codes = [np.int8(code) for _, code, _ in choices]
    outcome = np.select(masks, codes, np.int8(Outcome.UNFINISHED)).astype(np.int8)
    ended_at = np.select(masks, [time for _, _, time in choices], np.nan)
    return outcome, ended_at


def _end_times(index: RowIndex, n: int, ends: NDArray[np.void], kind: EndKind) -> Floats:
    of_kind = ends[ends["kind"] == kind]
    return _last(index, n, of_kind["request"], of_kind["at"], np.nan)


def _waited_for_load(
    loads: Sequence[Load], instance: NDArray[np.int32], arrived_at: Floats, usable_at: Floats
) -> _Waited:
    ready = np.flatnonzero([load.ready_at is not None for load in loads])
    instances = np.array([load.instance for load in loads], np.int64)
    ready_at = np.array([load.ready_at for load in loads], np.float64)  # None becomes nan
    started_at = np.array([load.started_at for load in loads], np.float64)
    found = latest_before(instances[ready], ready_at[ready], instance.astype(np.int64), usable_at)
    index = np.where(found >= 0, ready[found], -1) if len(ready) else found
    return _waited(index, started_at, ready_at, arrived_at)


def _waited_for_attach(
    attaches: NDArray[np.void],
    instance: NDArray[np.int32],
    adapter: NDArray[np.int32],
    span: tuple[Floats, Floats],
) -> _Waited:
    """`span`: when each request arrived and when it could first use the adapter."""
    arrived_at, usable_at = span
    width = int(max(adapter.max(initial=0), attaches["adapter"].max(initial=0))) + 1
    keys = attaches["instance"].astype(np.int64) * width + attaches["adapter"]
    asks = np.flatnonzero(adapter >= 0)
    queries = instance[asks].astype(np.int64) * width + adapter[asks]
    index = np.full(len(adapter), -1)
    index[asks] = latest_before(keys, attaches["done_at"], queries, usable_at[asks])
    return _waited(index, attaches["started_at"], attaches["done_at"], arrived_at)


def _waited(
    index: NDArray[np.int64], started_at: Floats, done_at: Floats, arrived_at: Floats
) -> _Waited:
    """Keeps the loads that ended after their request arrived."""
    wait_s = np.zeros(len(index))
    if not len(done_at):
        return _Waited(index, wait_s)
    waited: Bools = (index >= 0) & (done_at[index] > arrived_at)
    of = index[waited]
    wait_s[waited] = done_at[of] - np.maximum(started_at[of], arrived_at[waited])
    return _Waited(np.where(waited, index, -1), wait_s)


def _cold_codes(cold: _Waited, late: _Waited) -> NDArray[np.int8]:
    codes = np.where(late.load >= 0, Cold.ADAPTER_COLD, Cold.WARM)
    return np.where(cold.load >= 0, Cold.COLD, codes).astype(np.int8)


def _sources(
    cold: _Waited, late: _Waited, loads: Sequence[Load], attaches: NDArray[np.void]
) -> NDArray[np.int8]:
    source = np.full(len(cold.load), -1, np.int8)
    attached = late.load >= 0
    source[attached] = attaches["source"][late.load[attached]]
    loaded = cold.load >= 0
    source[loaded] = np.array([load.source for load in loads], np.int8)[cold.load[loaded]]
    return source
