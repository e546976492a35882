"""Whether a run's queue grew without bound, and how many requests waited when.

A steady-state comparison of policies means little past saturation, so a report must say it.
"""

from typing import Final

import numpy as np

from traces.numerals import number
from traces.quantiles import ratio
from traces.record import Floats, Ints, Outcome, RunRecord
from traces.summary import Saturation

#: The mean wait must have grown by this much from the middle third to the last.
GROWTH: Final = 1.3
#: And this share of the last third's arrivals must still wait at the last arrival.
BACKLOG: Final = 0.05
#: Or this share of the last third must have been refused or timed out.
REFUSED: Final = 0.05
#: Thirds of fewer requests say nothing.
MIN_THIRD: Final = 30


def left_queue_at(record: RunRecord) -> Floats:
    """When each request left the queue, shape (n,): its first batch, else its end.

    Of one that did not finish the first batch is unknown: its last dispatch stands for it. One
    still queued when the run ended left at the run's end.
    """
    requests = record.requests
    left = np.where(requests.finished, requests.scheduled_at, requests.dispatched_at)
    left = np.where(np.isnan(left), requests.ended_at, left)
    return np.where(np.isnan(left), record.ended_at, left)


def queue_lengths(record: RunRecord, at: Floats) -> Ints:
    """Requests arrived but in no batch at each of the times `at`, shape as `at`."""
    arrived = np.searchsorted(np.sort(record.requests.arrived_at), at, side="right")
    left = np.searchsorted(np.sort(left_queue_at(record)), at, side="right")
    waiting: Ints = arrived - left
    return waiting


def saturation_of(record: RunRecord) -> Saturation:
    """Compares waits in the middle and last thirds of the arrivals, and what waits at the end."""
    requests = record.requests
    third = len(requests) // 3
    if third < MIN_THIRD:
        words = f"{len(requests)} requests are too few to tell whether the queue grew."
        return Saturation(False, words, None, None, 0, None)
    order = np.argsort(requests.arrived_at, kind="stable")
    wait_s = (left_queue_at(record) - requests.arrived_at)[order]
    middle_s = float(wait_s[third : 2 * third].mean())
    last_s = float(wait_s[-third:].mean())
    at = requests.arrived_at[order[[third, -1]]]
    before, backlog = (int(waiting) for waiting in queue_lengths(record, at))
    growth = ratio(backlog - before, float(at[1] - at[0]))
    refusals = np.isin(requests.outcome[order[-third:]], (Outcome.REJECTED, Outcome.TIMED_OUT))
    refused = ratio(int(refusals.sum()), third)
    grew = last_s > GROWTH * middle_s and backlog > BACKLOG * third
    shed = refused is not None and refused > REFUSED
    waits = (
        f"the mean wait was {number(middle_s)} s in the middle third of the arrivals and "
        f"{number(last_s)} s in the last, with {backlog} requests waiting at the last arrival"
    )
    return Saturation(
        saturated=grew or shed,
        in_words=_words(_growth(grew, growth), refused if shed else None, waits),
        middle_wait_s=middle_s,
        last_wait_s=last_s,
        backlog=backlog,
        late_refused_ratio=refused,
        queue_growth_per_s=growth,
    )


def _growth(grew: bool, per_s: float | None) -> str:
    """How the queue grew; "" where it did not."""
    if not grew:
        return ""
    by = f"by {number(per_s)} requests/s to the end" if per_s and per_s > 0 else "through the run"
    return f"the queue grew {by}"


def _words(growth: str, shed: float | None, waits: str) -> str:
    if growth:
        return f"Saturated: {growth}; {waits}."
    if shed is not None:
        return f"Saturated: {shed:.1%} of the last third were refused or timed out; {waits}."
    return f"Not saturated: {waits}."
