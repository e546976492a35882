"""The fewest starts that could have served a run's requests when they were served.

GPU memory is taken as one cache of models, without nodes or cards in the way, and a model that
several instances served needs one. Given is when requests ran (from their first batch to their
end), not where. A model's *gap* is a time between two of its requests when none of it ran.

Claim: ready loads >= models served + gaps not bridged, where the bridged ones are any set that
fits (`_least_missed`). Proof. Whoever serves a model's first request was loaded before. Take a
gap and an instance that serves when it ends. If no instance of the model held its GPU memory
through the gap, then that one began to load within it, and was ready at its end: a load of this
gap only, that took `least_s` or more. So a gap shorter than `least_s` must have been bridged.
Bridging takes the model's memory x the gap, a load within it the memory x `least_s`, a running
request the memory x its time; models hold disjoint memory. So at any time gaps hold no more than
the fleet has beside the running requests, nor more than one instance each, and their sum over time
is bounded by the integral of the lesser. The most gaps (or load time) that fit are bounded by the
fractional knapsack. A request that was dispatched again after it had begun (preempted, or its
instance lost) may have run nowhere in between: only its two ends count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import msgspec
import numpy as np
from numpy.typing import NDArray

from traces.bounds.offline_caching import most_saved
from traces.record import Floats, RunRecord

_NEAR = 1e-6


class FewestLoads(msgspec.Struct, frozen=True):
    """Starts and wakes that became ready, and what they took, beside the least.

    `load_s` and `least_load_s` are seconds of all loads together. `gaps` are times between
    requests of one model, of which at least `unbridged` had to be paid for with a load.
    """

    models: int
    gaps: int
    unbridged: int
    loads: int
    least_loads: int
    load_s: float
    least_load_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Served:
    """Columns of stretches in which a model ran, shape (n,), and of the gaps between them."""

    models: list[int]
    busy: "_Spans"
    gaps: "_Spans"


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """Times in which bytes are held, of a model each; all of shape (n,)."""

    begins: Floats
    ends: Floats
    held_bytes: Floats
    models: NDArray[np.int64]

    @property
    def lengths_s(self) -> Floats:
        return self.ends - self.begins


def fewest_loads(record: RunRecord, least_s: Mapping[int, float]) -> FewestLoads:
    """`least_s`, by model: seconds that none of its loads fell below; a model left out has 0."""
    served = _served(record)
    ready = record.ready_loads
    gaps = served.gaps
    shortest_s = np.array([least_s.get(int(model), 0.0) for model in gaps.models])
    unbridged, lost_s = _least_missed(gaps, shortest_s, _room_byte_s(record, served))
    return FewestLoads(
        models=len(served.models),
        gaps=len(gaps.models),
        unbridged=unbridged,
        loads=len(ready),
        least_loads=len(served.models) + unbridged,
        load_s=sum(load.load_s or 0.0 for load in ready),
        least_load_s=sum(least_s.get(model, 0.0) for model in served.models) + lost_s,
    )


def _least_missed(gaps: _Spans, shortest_s: Floats, room: float) -> tuple[int, float]:
    """Gaps that cannot all be bridged in `room` byte-seconds: how many, and seconds of loads.

    A gap too short for a load is bridged whatever it takes. In the others a load takes memory too,
    so that bridging takes only what goes beyond that.
    """
    forced = gaps.lengths_s <= shortest_s
    room -= float((gaps.held_bytes * np.minimum(gaps.lengths_s, shortest_s)).sum())
    extra = (gaps.held_bytes * (gaps.lengths_s - shortest_s))[~forced]
    seconds = shortest_s[~forced]
    count = len(seconds) - most_saved(np.ones(len(seconds)), extra, max(room, 0.0))
    lost_s = float(seconds.sum()) - most_saved(seconds, extra, max(room, 0.0))
    return max(0, ceil(count - _NEAR)), max(0.0, float(lost_s))


def _served(record: RunRecord) -> _Served:
    requests = record.requests
    need_bytes = _need_bytes(record)
    begun = requests.finished & np.isfinite(requests.scheduled_at)
    whole = ~(requests.dispatched_at > requests.scheduled_at)
    busy, gaps = [_NOTHING], [_NOTHING]
    models = [int(m) for m in np.unique(requests.model[begun]) if int(m) in need_bytes]
    for model in models:
        own = begun & (requests.model == model)
        begins, ends = _stretches(requests.scheduled_at[own], requests.ended_at[own], whole[own])
        busy.append(_spans(begins, ends, need_bytes[model], model))
        gaps.append(_spans(ends[:-1], begins[1:], need_bytes[model], model))
    return _Served(models, _joined(busy), _joined(gaps))


def _need_bytes(record: RunRecord) -> dict[int, int]:
    """GPU memory that an instance of each model held at the least."""
    need: dict[int, int] = {}
    for load in record.ready_loads:
        held = sum(shard.gpu_bytes * len(shard.gpus) for shard in load.shards)
        need[load.model] = min(held, need.get(load.model, held))
    return need


def _stretches(begins: Floats, ends: Floats, whole: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Begins and ends of the times in which something ran, in order and disjoint."""
    lows = np.concatenate([begins, ends[~whole]])
    highs = np.concatenate([np.where(whole, ends, begins), ends[~whole]])
    order = np.argsort(lows, kind="stable")
    lows, reach = lows[order], np.maximum.accumulate(highs[order])
    first = np.concatenate([[True], lows[1:] > reach[:-1]])
    last = np.append(np.flatnonzero(first)[1:] - 1, len(lows) - 1)
    return lows[first], reach[last]


def _spans(begins: Floats, ends: Floats, held_bytes: int, model: int) -> _Spans:
    n = len(begins)
    return _Spans(begins, ends, np.full(n, float(held_bytes)), np.full(n, model))


_NOTHING = _spans(np.empty(0), np.empty(0), 0, 0)


def _joined(some: list[_Spans]) -> _Spans:
    return _Spans(
        np.concatenate([one.begins for one in some]),
        np.concatenate([one.ends for one in some]),
        np.concatenate([one.held_bytes for one in some]),
        np.concatenate([one.models for one in some]),
    )


def _room_byte_s(record: RunRecord, served: _Served) -> float:
    """Byte-seconds that gaps could hold: at each time what they want, or the fleet's rest."""
    fleet = [
        _spans(np.array([since]), np.array([until]), spec.gpus * spec.gpu_bytes, 0)
        for node, spec in record.nodes.items()
        for since, until in [record.nodes_seen_s[node]]
    ]
    kinds = (_joined([_NOTHING, *fleet]), served.busy, served.gaps)
    times = np.unique(np.concatenate([t for one in kinds for t in (one.begins, one.ends)]))
    has, busy, wanted = (_held(one, times) for one in kinds)
    held = np.minimum(np.maximum(has - busy, 0.0), wanted)
    return float((held[:-1] * np.diff(times)).sum()) if len(times) else 0.0


def _held(spans: _Spans, times: Floats) -> Floats:
    """Bytes held together from each time on, until the next; shape of `times`."""
    changes = np.zeros(len(times))
    np.add.at(changes, np.searchsorted(times, spans.begins), spans.held_bytes)
    np.add.at(changes, np.searchsorted(times, spans.ends), -spans.held_bytes)
    return np.cumsum(changes)
