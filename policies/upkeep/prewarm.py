"""Instances that are started shortly before their next request is expected."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from fleet.domain import ModelId, ModelSpec, NodeId
from fleet.plans import Plan
from fleet.view import View
from policies.keep_alive.histogram import IdleTimes, Window
from policies.placement.starts import earliest_wake, load_s, start_there


@dataclass(frozen=True)
class Prewarm(IdleTimes):
    """Start an instance in time for the opening of its model's window of idle times.

    The window is that of `hybrid_histogram`, by the same parameters. One instance, on free cards
    only, where it would be ready first, or woken; begun at the last tick before the window opens
    less the time to load. Once for each time a model goes idle, and not if the window has closed.
    Models of several stages are left alone.
    """

    source: ClassVar[str] = "Shahrad et al., Serverless in the Wild, ATC'20, section 4.2"
    departs: ClassVar[str] = "The start leads by the believed load time; ATC'20 neglects it."

    every_s: Annotated[float, Meta(gt=0)] = 5.0
    _begun_for: dict[ModelId, float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def tend(self, view: View) -> Iterator[Plan]:
        for model in view.models():
            since = self.idle_since(model.id)
            if since is None or model.stages > 1 or self._begun_for.get(model.id) == since:
                continue
            if view.queued(model.id) or view.starting(model.id) or len(view.ready(model.id)):
                continue
            plan = self._in_time(model, since, self.window(model.id), view)
            if plan is not None:
                self._begun_for[model.id] = since
                yield plan

    def _in_time(self, model: ModelSpec, since: float, window: Window, view: View) -> Plan | None:
        opens_at = since + window.prewarm_s
        if not window.prewarm_s or view.now >= opens_at + window.keep_s:
            return None
        ready_at, plan = earliest(model, view)
        next_tick_is_late = ready_at + self.every_s > opens_at
        return plan if next_tick_is_late else None


def earliest(model: ModelSpec, view: View) -> tuple[float, Plan | None]:
    """The plan that has the model ready first without taking anything from anybody, and when."""
    best_at, best = earliest_wake(model, view)
    fits = view.nodes.fits(model.need)
    if not fits.any():
        return best_at, best
    ready_at = np.where(fits, view.ready_column(load_s(model, view)), np.inf)
    node = NodeId(int(ready_at.argmin()))
    if ready_at[node] < best_at:
        best_at = float(ready_at[node])
        best = start_there(model, node, best_at, view)
    return best_at, best
