"""What pictures need of one run, small enough to keep for hundreds of runs.

A `RunRecord` has a row a request; these are a few hundred points, whatever the run's size.
"""

from typing import Final

import msgspec
import numpy as np

from traces.metrics import tpot_s, ttft_s
from traces.record import Floats, RunRecord
from traces.saturation import queue_lengths

BODY_POINTS: Final = 200
TAIL_POINTS: Final = 100
QUEUE_BINS: Final = 300
SAMPLES_A_BIN: Final = 8


class Cdf(msgspec.Struct, frozen=True):
    """Share of all arrived requests at or below each value: what never came keeps it below 1."""

    values: tuple[float, ...]
    shares: tuple[float, ...]


class QueueCurve(msgspec.Struct, frozen=True):
    """The most requests waiting in each of the bins that end at `at_s`."""

    at_s: tuple[float, ...]
    waiting: tuple[float, ...]


class Curves(msgspec.Struct, frozen=True):
    ttft_s: Cdf
    tpot_s: Cdf
    e2e_s: Cdf
    queue: QueueCurve


def curves_of(record: RunRecord) -> Curves:
    requests = record.requests
    e2e_s = np.where(requests.finished, requests.ended_at - requests.arrived_at, np.nan)
    several = int((~requests.finished | (requests.tokens >= 2)).sum())
    return Curves(
        ttft_s=cdf(ttft_s(requests), len(requests)),
        tpot_s=cdf(tpot_s(requests), several),
        e2e_s=cdf(e2e_s, len(requests)),
        queue=_queue(record),
    )


def cdf(values: Floats, arrived: int) -> Cdf:
    """Of the finite values, as shares of `arrived`; points are dense in the upper tail."""
    known = np.sort(values[np.isfinite(values)])
    n = len(known)
    if not n:
        return Cdf((), ())
    tail = 1 - np.logspace(-1, -5, TAIL_POINTS)
    ranks = np.concatenate([np.linspace(0, 1, BODY_POINTS), tail]) * (n - 1)
    at = np.unique(ranks.astype(np.int64))
    return Cdf(tuple(known[at].tolist()), tuple(((at + 1) / arrived).tolist()))


def _queue(record: RunRecord) -> QueueCurve:
    if not len(record.requests) or record.ended_at <= 0:
        return QueueCurve((), ())
    at_s = np.linspace(0.0, record.ended_at, QUEUE_BINS * SAMPLES_A_BIN + 1)[1:]
    most = queue_lengths(record, at_s).reshape(QUEUE_BINS, SAMPLES_A_BIN).max(axis=1)
    ends_s = at_s[SAMPLES_A_BIN - 1 :: SAMPLES_A_BIN]
    return QueueCurve(tuple(ends_s.tolist()), tuple(float(n) for n in most))
