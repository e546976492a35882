"""What periodic scalings measure: how much a model is asked for, sampled at their ticks."""

import math
from collections import deque

from fleet.domain import ModelId
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
