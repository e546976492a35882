"""Shortest job first, as far as lengths are known."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.lanes import Lane, Lanes
from fleet.view import View


@dataclass(frozen=True)
class ShortestFirst:
    """The lane whose head is believed to take least: its prompt's prefill, and the mean output.

    All requests of a model are believed to write the same, so that the shortest prompt is next. A
    request gains a token's worth for each `aging_s` that it waits; 0 lets long ones starve.
    """

    source: ClassVar[str] = "shortest job first, Schrage 1968; sjf in the BLIS simulator"
    departs: ClassVar[str] = (
        "Output lengths are not predicted one by one. Requests of one tenant for one adapter stay "
        "in order of arrival."
    )

    aging_s: Annotated[float, Meta(ge=0)] = 0.0

    def next(self, lanes: Lanes, view: View) -> Lane | None:
        def order(lane: Lane) -> tuple[float, float, int]:
            head = lane.flights[0].request
            gained = (view.now - head.arrived_at) / self.aging_s if self.aging_s else 0.0
            return head.prompt_tokens - gained, head.arrived_at, head.id

        return min(lanes, key=order, default=None)
