"""The autoscaler that ServerlessLLM released: one step a second."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import ModelId
from fleet.view import View
from policies.scaling.samples import Targeted, active, ceil, replicas


@dataclass(frozen=True)
class OneStepATick(Targeted):
    """Towards ceil(active / target) by one instance a tick; down once idle for `keep_alive_s`.

    Active requests run or wait. Every `every_s`: below the goal, one more; above it, idle time
    grows by a tick, and at `keep_alive_s` one is stopped; at the goal, idle time is 0 again.
    Nothing happens between ticks, so that a first request waits for the next one.
    """

    source: ClassVar[str] = "ServerlessLLM sllm/routers/roundrobin_router.py, auto_scaler"

    target: Annotated[float, Meta(gt=0)] = 2.0
    most: Annotated[int, Meta(ge=1)] = 10
    keep_alive_s: Annotated[float, Meta(ge=0)] = 0.0
    every_s: Annotated[float, Meta(gt=0)] = 1.0
    _idle_s: dict[ModelId, float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def tick(self, view: View) -> None:
        for spec in view.models():
            requests, have = active(spec.id, view), replicas(spec.id, view)
            if requests or have:
                goal = min(self.most, ceil(requests / self.target))
                self._targets[spec.id] = self._step(spec.id, goal, have)

    def _step(self, model: ModelId, goal: int, have: int) -> int:
        idle_s = self._idle_s.get(model, 0.0) + self.every_s if goal < have else 0.0
        self._idle_s[model] = idle_s
        if goal > have:
            return have + 1
        return have - 1 if goal < have and idle_s >= self.keep_alive_s else have

    def wanted(self, model: ModelId, view: View) -> int:
        return self._targets.get(model, 0)
