"""Background work between requests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.commands import Fetch
from fleet.domain import ModelSpec, NodeId, Place, Tier
from fleet.plans import UNNUMBERED, Plan, Step, Steps
from fleet.view import View


@dataclass(frozen=True)
class PrefetchPopular:
    """Copy the most asked-for models into DRAM that is free, one a node and period.

    On each node, of the models that lie on its SSD and not in its DRAM and would fit its free DRAM,
    fetch the one with the most arrivals per second, if it has at least `least_rate` of them.
    Asked every `every_s` seconds. Nothing is evicted for it.
    """

    source: ClassVar[str] = "this project's; prefetch by popularity is folklore"

    every_s: Annotated[float, Meta(gt=0)] = 30.0
    least_rate: Annotated[float, Meta(ge=0)] = 0.01

    def tend(self, view: View) -> Iterator[Plan]:
        wanted = [m for m in view.models() if view.rate(m.id) >= self.least_rate]
        wanted.sort(key=lambda m: (-view.rate(m.id), m.id))
        for node in range(len(view.nodes)):
            if view.nodes.alive[node]:
                model = self._next(wanted, NodeId(node), view)
                if model is not None:
                    source, target = Place(NodeId(node), Tier.SSD), Place(NodeId(node), Tier.DRAM)
                    fetch = Fetch(UNNUMBERED, model.id, source, target)
                    yield Steps((Step(fetch),), view.now)

    def _next(self, wanted: list[ModelSpec], node: NodeId, view: View) -> ModelSpec | None:
        dram, ssd = view.pool(node, Tier.DRAM), view.pool(node, Tier.SSD)
        for model in wanted:
            if model.id not in dram and ssd.has(model.id) and model.weight_bytes <= dram.free:
                return model
        return None
