"""What periodic scalings measure at their ticks, and the targets that they keep between them."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.domain import ModelId, ModelSpec
from fleet.view import View


def active(model: ModelId, view: View) -> int:
    """Requests of the model that run or wait."""
    return sum(i.load for i in view.ready(model)) + view.queued(model)


def replicas(model: ModelId, view: View) -> int:
    """Instances of the model, starting ones included."""
    return len(view.ready(model)) + view.starting(model)


def at_least_for_queue(target: int, model: ModelId, view: View) -> int:
    """The target, but never nobody for a request that waits (an activator's promise)."""
    return max(target, 1) if view.queued(model) else target


def ceil(value: float) -> int:
    """Up to the next integer, a rounding error forgiven."""
    return math.ceil(value - 1e-9)


class Samples:
    """Samples of one number over time, and their mean over windows that end with the last."""

    __slots__ = ("_longest_s", "_points")

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._points: deque[tuple[float, float]] = deque()

    def add(self, at: float, value: float) -> None:
        self._points.append((at, value))
        while self._points[0][0] <= at - self._longest_s:
            self._points.popleft()

    def mean(self, window_s: float) -> float:
        """Of the samples in the last `window_s` before the newest; 0 if there are none."""
        if not self._points:
            return 0.0
        since = self._points[-1][0] - window_s
        inside = [value for at, value in self._points if at > since]
        return sum(inside) / len(inside)

    @property
    def quiet(self) -> bool:
        """Whether every sample that is kept is 0."""
        return not any(value for _, value in self._points)


@dataclass(frozen=True)
class Targeted:
    """A periodic scaling that sets a target for each model at its ticks and keeps it between."""

    _targets: dict[ModelId, int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def wanted(self, model: ModelId, view: View) -> int:
        return at_least_for_queue(self._targets.get(model, 0), model, view)


@dataclass(frozen=True)
class Sampling(Targeted):
    """One whose targets follow samples of active requests."""

    _seen: dict[ModelId, Samples] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def sampled(self, longest_s: float, view: View) -> Iterator[tuple[ModelSpec, Samples]]:
        """Take a sample of every model that was ever asked for; the samples of `longest_s`."""
        for spec in view.models():
            now = active(spec.id, view)
            if spec.id in self._seen or now or replicas(spec.id, view):
                seen = self._seen.setdefault(spec.id, Samples(longest_s))
                seen.add(view.now, now)
                yield spec, seen
