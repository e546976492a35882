"""Who is next: which waiting lane gets a slot, and which unmet need gets capacity."""

from dataclasses import dataclass
from typing import ClassVar

from fleet.lanes import Lane, Lanes
from fleet.needs import Need, Needs
from fleet.view import View


@dataclass(frozen=True)
class FirstComeFirstServed:
    """The lane whose oldest request arrived first."""

    source: ClassVar[str] = "textbook; the default of vLLM and of ServerlessLLM (OSDI 2024)"

    def next(self, lanes: Lanes, view: View) -> Lane | None:
        return lanes.oldest()


@dataclass(frozen=True)
class LongestWaiting:
    """The need whose oldest request has waited longest."""

    source: ClassVar[str] = "textbook; ServerlessLLM (OSDI 2024) places requests in this order"

    def next(self, needs: Needs, view: View) -> Need | None:
        return needs.oldest()
