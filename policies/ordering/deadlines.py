"""Earliest deadline first: for slots, and for capacity."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.lanes import Lane, Lanes
from fleet.needs import Need, Needs
from fleet.view import View


def due_at(lane: Lane) -> float:
    """The deadline of its head; inf if it has none."""
    deadline_at = lane.flights[0].request.deadline_at
    return inf if deadline_at is None else deadline_at


def _order(lane: Lane) -> tuple[float, float, int]:
    head = lane.flights[0].request
    return due_at(lane), head.arrived_at, head.id


@dataclass(frozen=True)
class EarliestDeadline:
    """The lane whose head must have its first token soonest; without a deadline, the oldest last.

    Optimal on one server if all can be met (Liu and Layland, 1973); under overload it spends itself
    on what is late already.
    """

    source: ClassVar[str] = "Liu and Layland, JACM 1973; llm-d SLO-deadline ordering"
    departs: ClassVar[str] = "Requests of one tenant for one adapter stay in order of arrival."

    def next(self, lanes: Lanes, view: View) -> Lane | None:
        return min(lanes, key=_order, default=None)


@dataclass(frozen=True)
class EarliestDeadlineNeed:
    """The model of which some lane's head must have its first token soonest, then the oldest."""

    source: ClassVar[str] = "Liu and Layland, JACM 1973"
    departs: ClassVar[str] = "At most `most` unmet needs are compared at a time."

    most: Annotated[int, Meta(ge=1)] = 256

    def next(self, needs: Needs, view: View) -> Need | None:
        return min(
            islice(needs, self.most),
            key=lambda n: (_soonest(view.lanes(n.model.id)), n.since, n.model.id),
            default=None,
        )


def _soonest(lanes: Iterable[Lane]) -> float:
    return min(map(due_at, lanes), default=inf)
