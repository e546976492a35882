"""Routing by where adapters are attached."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import Request
from fleet.holders import Instance
from fleet.view import View
from policies.routing.load import LEAST_LOADED


@dataclass(frozen=True)
class AdapterAffinity:
    """Prefer the least loaded instance that holds the adapter; spill while all such are busy.

    A holder is busy from `spill_at` of its slots on. Then the adapter is attached where there is
    less load, and until it is there the holder goes on serving. As Ray Serve's model multiplexing
    and SGLang's router do, with a spill that keeps a hot adapter from being pinned to one replica
    (ray-project/ray#65691).
    """

    source: ClassVar[str] = "Ray Serve model multiplexing; SGLang router"
    departs: ClassVar[str] = "Spills when a holder is busy, where Ray Serve pins the adapter to it."

    spill_at: Annotated[float, Meta(ge=0, le=1)] = 0.75

    def route(self, request: Request, view: View) -> Instance | None:
        adapter = request.adapter
        if adapter is None:
            return LEAST_LOADED.route(request, view)
        other: Instance | None = None
        spilling = False
        for instance in view.ready(request.model):  # least loaded first
            if instance.load >= instance.slots:
                break
            if instance.has(adapter):
                busy = instance.load >= self.spill_at * instance.slots
                lighter = other is not None and other.load < instance.load
                return other if busy and lighter and not spilling else instance
            spilling = spilling or adapter in instance.adapters
            if other is None and instance.can_take(adapter):
                other = instance
        return other
