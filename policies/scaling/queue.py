"""How many instances a model should have. Asked when its queue grows and when capacity changes."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import ModelId
from fleet.holders import Instance
from fleet.policy import Scaling, Waiver
from fleet.view import View


@dataclass(frozen=True)
class PerQueue:
    """One more instance for each instance's worth of queued requests that nobody is coming for.

    wanted = have + ceil((queued - open slots - starting * worth) / worth), where `have` counts
    starting ones too. `per_instance` requests are an instance's worth; 0 takes the model's own
    `max_sequences`. A request that waits beside an open slot waits for its adapter, which is not
    helped by another instance; ServerlessLLM (OSDI'24) has no adapters and starts one instance a
    request.
    """

    source: ClassVar[str] = (
        "ServerlessLLM, OSDI 2024: an instance for each request that finds none free"
    )

    per_instance: Annotated[int, Meta(ge=0)] = 0

    def wanted(self, model: ModelId, view: View) -> int:
        starting = view.starting(model)
        have = starting + len(view.ready(model))
        worth = self.per_instance or view.model(model).max_sequences
        queued = view.queued(model) - starting * worth
        if queued <= 0:
            return have
        uncovered = queued - open_slots(model, queued, view)
        return have + -(-uncovered // worth) if uncovered > 0 else have


def open_slots(model: ModelId, most: int, view: View) -> int:
    """Free slots of ready instances that can still take an adapter; counted up to `most`."""
    slots = 0
    for instance in view.ready(model):  # least loaded first
        if slots >= most or instance.load >= instance.slots:
            break
        if _takes_adapters(instance):
            slots += instance.slots - instance.load
    return slots


def _takes_adapters(instance: Instance) -> bool:
    pool = instance.adapters
    return pool.free > 0 or any(not entry.pins for entry in pool.entries.values())


@dataclass(frozen=True)
class FixedReplicas:
    """The same number for every model, from its first request on."""

    source: ClassVar[str] = "the static deployments that papers compare with"
    waives: ClassVar = (Waiver.LEAVES_CARDS,)

    replicas: Annotated[int, Meta(ge=0)] = 1

    def wanted(self, model: ModelId, view: View) -> int:
        return self.replicas


@dataclass(frozen=True)
class Bounded:
    """Another scaling policy's answer, held between two bounds; `most` wins where they cross."""

    source: ClassVar[str] = "min_replicas and max_replicas of Ray Serve, Knative and KubeAI"
    waives: ClassVar = (Waiver.LEAVES_CARDS,)

    scaling: Scaling = field(default_factory=PerQueue)
    least: Annotated[int, Meta(ge=0)] = 0
    most: Annotated[int, Meta(ge=1)] = 8

    def wanted(self, model: ModelId, view: View) -> int:
        return min(self.most, max(self.least, self.scaling.wanted(model, view)))
