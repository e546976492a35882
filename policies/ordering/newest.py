"""Newest first, once the oldest are late anyway."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import ModelId
from fleet.lanes import Lane, Lanes
from fleet.view import View


class Flow:
    """Requests of a model that came and that were sent, a window: running means."""

    def __init__(self) -> None:
        self.ends_at = 0.0
        self.came = self.sent = 0
        self.came_mean = self.sent_mean = 0.0

    def roll(self, now: float, window_s: float) -> None:
        """Close the windows that are over: 0.7 of the mean so far and 0.3 of each window."""
        while self.ends_at <= now:
            idle = not (self.came or self.sent)
            if idle and self.came_mean + self.sent_mean < 1e-3:
                self.ends_at = now + window_s  # nothing to fade any more
                return
            self.came_mean = 0.7 * self.came_mean + 0.3 * self.came
            self.sent_mean = 0.7 * self.sent_mean + 0.3 * self.sent
            self.came = self.sent = 0
            self.ends_at += window_s


@dataclass(frozen=True)
class NewestFirst:
    """The oldest request while the model keeps up; else the newest, and what is late last.

    It does not keep up when more came than were sent (means over windows of `window_s`, weights 0.7
    and 0.3) and the oldest is late: waited + `prefill_s` > `slo_s`. A stack serves some in time
    where a queue serves all too late.
    """

    source: ClassVar[str] = "S-LoRA (MLSys'24), section on early abort; abort_req_queue.py"
    departs: ClassVar[str] = (
        "S-LoRA aborts what is late; here it is served last, and `limits.max_age` aborts. Requests "
        "of one tenant for one adapter stay in order of arrival."
    )
    observes: ClassVar = (e.RequestArrived, Dispatch)

    slo_s: Annotated[float, Meta(gt=0)] = 6.0
    prefill_s: Annotated[float, Meta(ge=0)] = 0.5
    window_s: Annotated[float, Meta(gt=0)] = 1.0
    _flows: dict[ModelId, Flow] = field(default_factory=dict, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        if isinstance(fact, e.RequestArrived):
            self._flow(fact.request.model, view.now).came += 1
            return
        flight = view.flight(fact.request)
        if flight is not None:
            self._flow(flight.request.model, view.now).sent += 1

    def _flow(self, model: ModelId, now: float) -> Flow:
        flow = self._flows.get(model)
        if flow is None:
            flow = self._flows[model] = Flow()
            flow.ends_at = now + self.window_s
        flow.roll(now, self.window_s)
        return flow

    def next(self, lanes: Lanes, view: View) -> Lane | None:
        oldest = lanes.oldest()
        if oldest is None or not self._late(oldest, view.now):
            return oldest
        flow = self._flow(oldest.flights[0].request.model, view.now)
        if flow.came_mean < flow.sent_mean:
            return oldest

        def order(lane: Lane) -> tuple[bool, float, int]:
            head = lane.flights[0].request
            return self._late(lane, view.now), -head.arrived_at, -head.id

        return min(lanes, key=order)

    def _late(self, lane: Lane, now: float) -> bool:
        return now - lane.flights[0].request.arrived_at + self.prefill_s > self.slo_s
