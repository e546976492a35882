"""LoRAServe-like packing: adapters of like ranks together, in parts of equal demand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import AdapterId, ModelSpec
from fleet.events import RequestArrived
from fleet.holders import Instance
from fleet.plans import Plan
from fleet.view import View
from policies.routing.ranks import mean_rank
from policies.upkeep.attachments import attach
from policies.upkeep.rates import AdapterRates


@dataclass(frozen=True)
class RankPacking:
    """Every `every_s`, attach each base's adapters so that instances have ranks alike.

    Adapters in the order of their ranks are cut into as many contiguous parts as there are
    instances, of equal demand rate * (1 + rank * `work_per_rank`) as far as slots allow; the parts
    go to the instances in the order of the ranks that those hold. A part is attached only if that
    gains more than it costs: seconds of attaching < what the busiest instance is relieved of in a
    period, (its demand now - its demand then) * the mean time of a request. An adapter that the
    part lacks leaves if it is in nobody's use and a slot is needed. Rates are means over
    `window_s`. Routing `loraserve` sends requests where their adapter is.
    """

    source: ClassVar[str] = "LoRAServe, arXiv 2511.22880"
    departs: ClassVar[str] = (
        "Written from the abstract: contiguous cuts of equal demand in place of its optimiser; no "
        "remote reads, no fractional shares: an adapter is on one instance of its part."
    )
    observes: ClassVar = (RequestArrived,)

    every_s: Annotated[float, Meta(gt=0)] = 60.0
    window_s: Annotated[float, Meta(gt=0)] = 120.0
    work_per_rank: Annotated[float, Meta(ge=0)] = 0.01
    _rates: AdapterRates = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rates", AdapterRates(self.window_s))

    def observe(self, event: RequestArrived, view: View) -> None:
        self._rates.saw(event.request, event.at)

    def tend(self, view: View) -> Iterator[Plan]:
        rates = self._rates.by_base(view)
        for spec in view.models():
            asked = rates.get(spec.id, {})
            own = sorted(asked, key=lambda a: (view.adapter(a).rank, a))
            if len(view.ready(spec.id)) > 1 and own:
                demand = {a: asked[a] * self.work(view.adapter(a).rank) for a in own}
                yield from self._of(spec, own, demand, view)

    def work(self, rank: int) -> float:
        """What a request with an adapter of that rank takes, beside one without."""
        return 1.0 + rank * self.work_per_rank

    def _of(
        self, spec: ModelSpec, own: list[AdapterId], demand: dict[AdapterId, float], view: View
    ) -> Iterator[Plan]:
        instances = sorted(view.ready(spec.id), key=lambda i: (mean_rank(i, view) or 0.0, i.id))
        parts = cut(own, demand, len(instances), spec.max_adapters)
        if not self._pays(parts, instances, demand, view):
            return
        for instance, part in zip(instances, parts, strict=True):
            for adapter in part:
                for leaves in (None, *strangers(instance, part)):
                    plan = attach(adapter, instance, view, leaves)
                    if plan is not None and (leaves is not None or instance.adapters.free > 0):
                        yield plan
                        break

    def _pays(
        self,
        parts: Sequence[Sequence[AdapterId]],
        instances: list[Instance],
        demand: dict[AdapterId, float],
        view: View,
    ) -> bool:
        attach_s, then = 0.0, 0.0
        for instance, part in zip(instances, parts, strict=True):
            then = max(then, sum(demand[a] for a in part))
            node = view.node(instance.node)
            for adapter in (a for a in part if a not in instance.adapters):
                source = view.source(adapter, instance.node)
                attach_s += view.estimates.attach_s(view.adapter(adapter), node, source.tier)
        pace = view.estimates.pace(instances[0].model.id, view.node(instances[0].node).kind)
        mean_s = view.estimates.output_tokens(instances[0].model.id) * pace.decode_s_per_token
        relieved = (busiest(instances, demand) - then) * mean_s * self.every_s
        return bool(attach_s) and relieved > attach_s


def cut(
    own: Sequence[AdapterId], demand: dict[AdapterId, float], parts: int, slots: int
) -> list[list[AdapterId]]:
    """Contiguous parts of about equal demand, none larger than the slots; the rest is left out.

    Each part takes the next adapter while half of it still fits the part's even share.
    """
    left = sum(demand[a] for a in own)
    found: list[list[AdapterId]] = []
    queue = list(own)
    for number in range(parts):
        share, taken, part = left / (parts - number), 0.0, list[AdapterId]()
        while queue and len(part) < slots:
            fits = taken + demand[queue[0]] / 2 <= share or not part
            must = len(queue) > (parts - number - 1) * slots
            if not fits and not must:
                break
            taken += demand[queue[0]]
            part.append(queue.pop(0))
        left -= taken
        found.append(part)
    return found


def busiest(instances: list[Instance], demand: dict[AdapterId, float]) -> float:
    """Demand of the busiest instance as adapters lie now; one that lies nowhere falls on it."""
    loads = dict.fromkeys((i.id for i in instances), 0.0)
    nowhere = 0.0
    for adapter, asked in demand.items():
        holders = [i for i in instances if adapter in i.adapters]
        for holder in holders:
            loads[holder.id] += asked / len(holders)
        nowhere += 0.0 if holders else asked
    return max(loads.values()) + nowhere


def strangers(instance: Instance, part: Sequence[AdapterId]) -> list[AdapterId]:
    """Attached there, unused, and none of the part."""
    return [AdapterId(e.artifact) for e in instance.adapters.evictable() if e.artifact not in part]
