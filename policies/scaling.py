"""How many instances a model should have. Asked when its queue grows and when capacity changes."""

from dataclasses import dataclass, field

from fleet.domain import ModelId
from fleet.policy import Scaling
from fleet.view import View


@dataclass(frozen=True)
class PerQueue:
    """One more instance for each instance's worth of queued requests that none is starting for.

    `per_instance` requests are an instance's worth; 0 takes the model's own `max_sequences`.
    """

    per_instance: int = 0

    def wanted(self, model: ModelId, view: View) -> int:
        starting = view.starting(model)
        have = starting + len(view.ready(model))
        worth = self.per_instance or view.model(model).max_sequences
        uncovered = view.queued(model) - starting * worth
        return have + -(-uncovered // worth) if uncovered > 0 else have


@dataclass(frozen=True)
class FixedReplicas:
    """The same number for every model, from its first request on."""

    replicas: int = 1

    def wanted(self, model: ModelId, view: View) -> int:
        return self.replicas


@dataclass(frozen=True)
class Bounded:
    """Another scaling policy's answer, held between two bounds."""

    scaling: Scaling = field(default_factory=PerQueue)
    least: int = 0
    most: int = 8

    def wanted(self, model: ModelId, view: View) -> int:
        return min(self.most, max(self.least, self.scaling.wanted(model, view)))
