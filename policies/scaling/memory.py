"""Replicas by how full their KV caches are: Llumnix's freeness and BlitzScale's bounds."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import ModelId, ModelSpec
from fleet.view import View
from policies.scaling.samples import Targeted, ceil, replicas

Positive = Annotated[float, Meta(gt=0)]
#: Tokens of a KV block, in vLLM and in both papers' systems.
BLOCK_TOKENS = 16


def mean_prompt(model: ModelId, view: View) -> float:
    """Mean prompt length of the requests that run; 0 if none does."""
    running = [i for i in view.ready(model) if i.running]
    requests = sum(len(i.running) for i in running)
    return sum(i.prompt_tokens for i in running) / requests if requests else 0.0


@dataclass(frozen=True)
class FreenessScaling(Targeted):
    """One more below `least` mean freeness of a model's instances, one fewer above `most`.

    Freeness of an instance: (free KV blocks - blocks of its share of the queue) / requests, here
    decode steps that are left per request; capped at `idle` for one without requests, and 0 for one
    that has no slot for who waits. One step every `every_s`, down to `fewest` once there is one. A
    queue without instances starts one at once.
    """

    source: ClassVar[str] = "Llumnix, OSDI'24, section 4.4; llumnix/scaling_policy.py, Arguments.md"
    departs: ClassVar[str] = (
        "The queue is the controller's, not an instance's: its blocks are shared out evenly."
    )

    least: Annotated[float, Meta(ge=0)] = 10.0
    most: Annotated[float, Meta(gt=0)] = 60.0
    every_s: Positive = 10.0
    fewest: Annotated[int, Meta(ge=0)] = 1
    idle: Positive = 1000.0

    def tick(self, view: View) -> None:
        for spec in view.models():
            have, ready = replicas(spec.id, view), len(view.ready(spec.id))
            if not have or view.starting(spec.id):
                self._targets[spec.id] = have
                continue
            mean = sum(self._freenesses(spec, view)) / ready
            step = (mean < self.least) - (mean > self.most and have > self.fewest)
            self._targets[spec.id] = have + step

    def _freenesses(self, spec: ModelSpec, view: View) -> list[float]:
        ready = list(view.ready(spec.id))
        waiting_tokens = view.queued(spec.id) * mean_prompt(spec.id, view) / len(ready)
        found = []
        for instance in ready:
            if view.queued(spec.id) and instance.load >= instance.slots:
                found.append(0.0)
                continue
            free_tokens = view.kv_tokens(instance) - view.context_tokens(instance) - waiting_tokens
            free = free_tokens / BLOCK_TOKENS / max(1, instance.load)
            found.append(min(free, self.idle) if instance.load else self.idle)
        return found


@dataclass(frozen=True)
class BlitzBounds(Targeted):
    """Keep the share of KV in use between two bounds; jump up to the middle, step down by one.

    lo = ceil(tokens / (upper * capacity of one)), hi = ceil(tokens / (lower * capacity of one)),
    tokens being those that run and the prompts that wait; the capacity is the KV cache's, or what
    all slots take of it at the mean length if that is less. With fewer than lo replicas: as many as
    (lo + hi + 1) // 2. With more than hi: one fewer. Never below 1 while anybody runs or waits.
    """

    source: ClassVar[str] = "BlitzScale, OSDI'25; planner.rs generate_scale_target (exec_blitz.md)"
    departs: ClassVar[str] = (
        "Only the KV rule: prefill and decode are not disaggregated here, so that the bandwidth "
        "and prefill-throughput analogues have no replicas of their own to scale."
    )

    lower: Annotated[float, Meta(gt=0, le=1)] = 0.3
    upper: Annotated[float, Meta(gt=0, le=1)] = 0.8
    every_s: Positive = 1.0

    def tick(self, view: View) -> None:
        for spec in view.models():
            have = replicas(spec.id, view)
            if have or view.queued(spec.id):
                self._targets[spec.id] = self._decide(spec, have, view)

    def _decide(self, spec: ModelSpec, have: int, view: View) -> int:
        ready = list(view.ready(spec.id))
        if not ready:
            return have
        tokens = sum(view.context_tokens(i) for i in ready)
        running = sum(len(i.running) for i in ready)
        capacity = view.kv_tokens(ready[0])
        if running:
            capacity = min(capacity, spec.max_sequences * tokens / running)
        tokens += view.queued(spec.id) * mean_prompt(spec.id, view)
        lo, hi = (max(1, ceil(tokens / (bound * capacity))) for bound in (self.upper, self.lower))
        if have < lo:
            return (lo + hi + 1) // 2
        return have - 1 if have > hi or (have == 1 and not tokens) else have
