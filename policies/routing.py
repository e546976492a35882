"""Which ready instance serves a request: the warm path, asked most."""

from dataclasses import dataclass

from fleet.domain import Request
from fleet.holders import Instance
from fleet.view import View


@dataclass(frozen=True)
class LeastLoaded:
    """Join the instance with the fewest requests, whatever adapters it holds."""

    def route(self, request: Request, view: View) -> Instance | None:
        instance = view.ready(request.model).least()
        if instance is None or instance.load >= instance.slots:
            return None
        adapter = request.adapter
        if adapter is None or instance.can_take(adapter):
            return instance
        for other in view.ready(request.model):
            if other.load < other.slots and other.can_take(adapter):
                return other
        return None


@dataclass(frozen=True)
class AdapterAffinity:
    """Prefer the least loaded instance that holds the adapter; spill when all such are busy.

    An instance is busy for its adapters from `spill_at` of its slots on; then the request goes
    where the adapter can be attached at less load. As Ray Serve's model multiplexing and SGLang's
    router do, with a spill that keeps a hot adapter from being pinned to one replica (ray#65691).
    """

    spill_at: float = 0.75

    def route(self, request: Request, view: View) -> Instance | None:
        adapter = request.adapter
        ready = view.ready(request.model)
        if adapter is None:
            instance = ready.least()
            return instance if instance is not None and instance.load < instance.slots else None
        holder: Instance | None = None
        other: Instance | None = None
        for instance in ready:  # least loaded first
            if instance.load >= instance.slots:
                break
            if instance.has(adapter):
                holder = instance
                break
            if other is None and instance.can_take(adapter):
                other = instance
        if holder is None:
            return other
        spill = holder.load >= self.spill_at * holder.slots
        return other if spill and other is not None else holder
