"""Routing by the number of requests: the warm path, asked most."""

from dataclasses import dataclass
from itertools import islice
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import Request
from fleet.holders import Instance
from fleet.policy import Waiver
from fleet.view import View
from policies.routing.candidates import candidates, takes


@dataclass(frozen=True)
class LeastLoaded:
    """Join the instance with the fewest requests, whatever adapters it holds.

    One whose adapter slots are all in use is passed over. `load` counts requests and reservations.
    """

    source: ClassVar[str] = "join the shortest queue (least request, in most gateways)"
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


@dataclass(frozen=True)
class PowerOfTwo:
    """Look at `choices` instances drawn at random; the one with the fewest requests serves.

    Two choices leave a longest queue of log log n / log 2 + O(1) where one leaves log n / log log n
    (Mitzenmacher). A router that cannot know every load exactly looks at two; it also breaks up
    patterns that a strict order falls in step with.
    """

    source: ClassVar[str] = "Mitzenmacher, TPDS 2001: the power of two choices; Envoy LEAST_REQUEST"
    departs: ClassVar[str] = (
        "Where no drawn instance has a slot and the adapter, the least loaded one that has serves."
    )

    choices: Annotated[int, Meta(ge=1)] = 2

    def route(self, request: Request, view: View) -> Instance | None:
        ready = view.ready(request.model)
        if not ready.has_slot():
            return None
        stream = view.stream("power_of_two")
        best: Instance | None = None
        for place in stream.sample(range(len(ready)), min(self.choices, len(ready))):
            drawn = next(islice(ready, place, None))
            if takes(drawn, request) and (best is None or drawn.load < best.load):
                best = drawn
        return best or next(iter(candidates(request, view, 1)), None)
