"""Replicas in proportion to concurrent requests: KubeAI's autoscaler and Ray Serve's."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import ModelId
from fleet.view import View
from policies.scaling.samples import Sampling, ceil, replicas

Positive = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True)
class TargetConcurrency(Sampling):
    """ceil(mean active requests over `window_s` / target), down only after `down_delay_s` below.

    Active requests run or wait; sampled every `every_s`. A model that has replicas loses some only
    when ceil(down_delay_s / every_s) ticks in a row wanted fewer, and then falls to the last one's
    answer. A first request starts one at once. `target` 0 takes `max_sequences`.
    """

    source: ClassVar[str] = "KubeAI internal/modelautoscaler/autoscaler.go (kubeai-project/kubeai)"

    target: Annotated[float, Meta(ge=0)] = 0.0
    every_s: Positive = 10.0
    window_s: Positive = 600.0
    down_delay_s: Annotated[float, Meta(ge=0)] = 30.0
    _below: dict[ModelId, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def tick(self, view: View) -> None:
        for spec, seen in self.sampled(self.window_s, view):
            wanted = ceil(seen.mean(self.window_s) / (self.target or spec.max_sequences))
            self._targets[spec.id] = self._damped(spec.id, wanted)

    def _damped(self, model: ModelId, wanted: int) -> int:
        before = self._targets.get(model, 0)
        if wanted >= before:
            self._below[model] = 0
            return wanted
        self._below[model] = self._below.get(model, 0) + 1
        return wanted if self._below[model] >= ceil(self.down_delay_s / self.every_s) else before


@dataclass(frozen=True)
class RayServeAutoscaler(Sampling):
    """ceil(r * (1 + (ongoing / (target * r) - 1) * factor)), each way after a delay of its own.

    `ongoing` is the mean over `look_back_s` of requests that run or wait, r the replicas there
    are; up after `up_delay_s` of wanting more, down after `down_delay_s` of wanting fewer.
    From none, the first request starts one at once.
    """

    source: ClassVar[str] = (
        "Ray Serve autoscaling_policy.py and its documentation (ray-project/ray)"
    )

    target: Positive = 2.0
    every_s: Positive = 10.0
    look_back_s: Positive = 30.0
    up_delay_s: Annotated[float, Meta(ge=0)] = 30.0
    down_delay_s: Annotated[float, Meta(ge=0)] = 600.0
    up_factor: Positive = 1.0
    down_factor: Positive = 1.0
    #: Since when more (+1) or fewer (-1) have been wanted without a break.
    _since: dict[ModelId, tuple[int, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def tick(self, view: View) -> None:
        for spec, seen in self.sampled(self.look_back_s, view):
            have = replicas(spec.id, view)
            wanted = self._wanted(seen.mean(self.look_back_s), have)
            self._targets[spec.id] = self._delayed(spec.id, wanted, have, view.now)

    def _wanted(self, ongoing: float, have: int) -> int:
        if not have:
            return ceil(ongoing / self.target)
        error = ongoing / (self.target * have) - 1.0
        return ceil(have * (1.0 + error * (self.up_factor if error > 0 else self.down_factor)))

    def _delayed(self, model: ModelId, wanted: int, have: int, now: float) -> int:
        way = (wanted > have) - (wanted < have)
        known, since = self._since.get(model, (0, now))
        if way != known:
            since = now
            self._since[model] = way, since
        delay_s = self.up_delay_s if way > 0 else self.down_delay_s
        return wanted if way and now - since >= delay_s else have
