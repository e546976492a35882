"""Knative's and AIBrix's pod autoscalers: KPA with its panic mode, and APA."""

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from fleet.domain import ModelId
from fleet.view import View
from policies.scaling.samples import Samples, Sampling, Targeted, active, ceil, replicas

Positive = Annotated[float, Meta(gt=0)]


@dataclass
class Panic:
    """Since when a model has been in panic, and the most replicas wanted since."""

    until: float = -math.inf
    most: int = 0


@dataclass(frozen=True)
class KnativePodAutoscaler(Sampling):
    """Two windows of concurrency: the stable one steers, the short one takes over in a panic.

    d = ceil(mean / (target * utilisation)) for each window, held within [floor(r / max_down),
    max(1, ceil(r * max_up))] of the r replicas there are. If the panic window's d is at least
    `panic_threshold` times r, then for `stable_s` on the larger of both holds, and never fewer than
    before. `target` 0 takes `max_sequences`. variant "code": AIBrix's, which panics by the ratio of
    the two means, with max_up and max_down 2 unless they are given.
    """

    source: ClassVar[str] = (
        "Knative serving pkg/autoscaler/scaling; variant: AIBrix podautoscaler kpa.go"
    )

    target: Annotated[float, Meta(ge=0)] = 0.0
    utilisation: Annotated[float, Meta(gt=0, le=1)] = 0.7
    every_s: Positive = 2.0
    stable_s: Positive = 60.0
    panic_s: Positive = 6.0
    panic_threshold: Positive = 2.0
    max_up: Annotated[float, Meta(gt=1)] = 1000.0
    max_down: Annotated[float, Meta(gt=1)] = 2.0
    variant: Literal["paper", "code"] = "paper"
    _panics: dict[ModelId, Panic] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def tick(self, view: View) -> None:
        for spec, seen in self.sampled(self.stable_s, view):
            have = replicas(spec.id, view)
            each = (self.target or spec.max_sequences) * self.utilisation
            self._targets[spec.id] = self._decide(spec.id, seen, each, have, view.now)

    def _decide(self, model: ModelId, seen: Samples, each: float, have: int, now: float) -> int:
        stable, panic = seen.mean(self.stable_s), seen.mean(self.panic_s)
        wanted = self._held(ceil(stable / each), have)
        wanted_now = self._held(ceil(panic / each), have)
        state = self._panics.setdefault(model, Panic())
        if self._alarming(stable, panic, each, have):
            if now > state.until:
                state.most = have
            state.until = now + self.stable_s
        if now > state.until:
            return wanted
        state.most = max(state.most, wanted, wanted_now)
        return state.most

    def _alarming(self, stable: float, panic: float, each: float, have: int) -> bool:
        if self.variant == "code":
            return panic > 0 and (stable <= 0 or panic / stable > self.panic_threshold)
        return ceil(panic / each) / max(1, have) >= self.panic_threshold

    def _held(self, wanted: int, have: int) -> int:
        up = 2.0 if self.variant == "code" and self.max_up >= 1000.0 else self.max_up
        return min(max(wanted, math.floor(have / self.max_down)), max(1, ceil(have * up)))


@dataclass(frozen=True)
class AibrixPodAutoscaler(Targeted):
    """Scale by the ratio of use to target, within a tolerance and a factor of `most_change` a step.

    u = active requests / replicas, t = target: if u / t > 1 + up_tolerance, min(ceil(r * u / t),
    ceil(most_change * r)); if u / t < 1 - down_tolerance, max(ceil(r * u / t), floor(r /
    most_change)); else r. `target` 0 takes `max_sequences`.
    """

    source: ClassVar[str] = (
        "AIBrix pkg/controller/podautoscaler/algorithm apa.go (vllm-project/aibrix)"
    )

    target: Annotated[float, Meta(ge=0)] = 0.0
    every_s: Positive = 10.0
    up_tolerance: Annotated[float, Meta(ge=0)] = 0.1
    down_tolerance: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    most_change: Annotated[float, Meta(gt=1)] = 2.0

    def tick(self, view: View) -> None:
        for spec in view.models():
            have = replicas(spec.id, view)
            if have or view.queued(spec.id):
                each = self.target or spec.max_sequences
                use = active(spec.id, view) / (max(1, have) * each)
                self._targets[spec.id] = self._decide(use, have)

    def _decide(self, use: float, have: int) -> int:
        have = max(1, have)
        if use > 1.0 + self.up_tolerance:
            return min(ceil(have * use), ceil(have * self.most_change))
        if use < 1.0 - self.down_tolerance:
            return max(ceil(have * use), math.floor(have / self.most_change))
        return have
