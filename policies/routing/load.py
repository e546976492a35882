"""Which ready instance serves a request: the warm path, asked most."""

from dataclasses import dataclass
from typing import ClassVar

from fleet.domain import Request
from fleet.holders import Instance
from fleet.policy import Waiver
from fleet.view import View


@dataclass(frozen=True)
class LeastLoaded:
    """Join the instance with the fewest requests, whatever adapters it holds.

    One whose adapter slots are all in use is passed over. `load` counts requests and reservations.
    """

    waives: ClassVar = (Waiver.BLIND_TO_ADAPTERS,)

    def route(self, request: Request, view: View) -> Instance | None:
        adapter = request.adapter
        if adapter is None:  # spelled out: asked for nearly every request
            least = view.ready(request.model).least()
            return least if least is not None and least.load < least.slots else None
        for instance in view.ready(request.model):
            if instance.load >= instance.slots:
                return None
            if instance.can_take(adapter):
                return instance
        return None


LEAST_LOADED = LeastLoaded()
