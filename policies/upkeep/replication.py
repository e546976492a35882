"""Adapters on more instances: on demand, and ahead of it by their shares of the requests."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import AdapterId, InstanceId, ModelSpec
from fleet.events import RequestArrived
from fleet.holders import Instance
from fleet.lanes import Lane
from fleet.plans import Plan
from fleet.view import View
from policies.upkeep.attachments import attach
from policies.upkeep.rates import AdapterRates


@dataclass(frozen=True)
class ReplicasOnDemand:
    """Attach an adapter to one more instance when its requests wait longer than that takes.

    Every `every_s`: of each adapter whose oldest request has waited longer than the believed time
    to attach it, one more on the least loaded instance with a free sequence and a slot that is free
    or not in use. Longest waiting first, one a period and adapter.
    """

    source: ClassVar[str] = (
        "this project, after ray-project/ray#65691: a hot adapter on one replica"
    )

    every_s: Annotated[float, Meta(gt=0)] = 1.0

    def tend(self, view: View) -> Iterator[Plan]:
        for spec in view.models():
            if spec.max_adapters and view.queued(spec.id):
                lanes = {lane.adapter: lane for lane in sorted(view.lanes(spec.id), key=youngest)}
                for adapter in sorted(a for a in lanes if a is not None):
                    waited_s = view.now - lanes[adapter].flights[0].request.arrived_at
                    plan = self._one_more(adapter, spec, waited_s, view)
                    if plan is not None:
                        yield plan

    def _one_more(
        self, adapter: AdapterId, spec: ModelSpec, waited_s: float, view: View
    ) -> Plan | None:
        for instance in view.ready(spec.id):  # least loaded first
            if instance.load >= instance.slots:
                return None
            plan = attach(adapter, instance, view)
            if plan is not None:
                return plan if waited_s > plan.ready_at - view.now else None
        return None


def youngest(lane: Lane) -> float:
    """Lanes of one adapter in an order whose last is the one that waits longest."""
    return -lane.flights[0].request.arrived_at


@dataclass(frozen=True)
class DloraPlacement:
    """Replicas of the adapter with the largest deficit, while no adapter's capacity falls.

    Every `every_s`, for each base: share_k = rate_k / all rates of its adapters, deficit_k =
    share_k - replicas_k / all replicas. The adapter with the largest goes to the instance with most
    free memory that lacks it and has a free slot; capacity = min_k (free memory of the instances
    that hold k / share_k), where what an adapter takes is no longer free. Up to `most` a period.
    Rates are means over `window_s`. Nothing is detached for it.
    """

    source: ClassVar[str] = (
        "dLoRA, OSDI'24, section 5; LLMServe/dLoRA-artifact find_best_lora_weight_schedule"
    )
    departs: ClassVar[str] = (
        "Slots are bounded besides memory; only rising capacity adds a replica."
    )
    observes: ClassVar = (RequestArrived,)

    every_s: Annotated[float, Meta(gt=0)] = 10.0
    window_s: Annotated[float, Meta(gt=0)] = 60.0
    most: Annotated[int, Meta(ge=1)] = 4
    _rates: AdapterRates = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rates", AdapterRates(self.window_s))

    def observe(self, event: RequestArrived, view: View) -> None:
        self._rates.saw(event.request, event.at)

    def tend(self, view: View) -> Iterator[Plan]:
        rates = self._rates.by_base(view)
        for spec in view.models():
            if spec.max_adapters and len(view.ready(spec.id)) > 1:
                yield from self._of(spec, rates.get(spec.id, {}), view)

    def _of(self, spec: ModelSpec, rates: dict[AdapterId, float], view: View) -> Iterator[Plan]:
        total = sum(rates.values())
        for _ in range(self.most if total else 0):
            instances = list(view.ready(spec.id))
            plan = self._best(instances, {a: r / total for a, r in rates.items()}, view)
            if plan is None:
                return
            yield plan

    def _best(
        self, instances: list[Instance], shares: dict[AdapterId, float], view: View
    ) -> Plan | None:
        holders = {a: [i for i in instances if a in i.adapters] for a in shares}
        replicas = max(1, sum(len(held) for held in holders.values()))
        adapter = max(shares, key=lambda a: (shares[a] - len(holders[a]) / replicas, -a))
        open_ones = [i for i in instances if adapter not in i.adapters and i.adapters.free > 0]
        if not open_ones:
            return None
        target = max(open_ones, key=lambda i: (free_bytes(i, view), -i.id))
        free = {i.id: free_bytes(i, view) for i in instances}
        before = capacity(holders, free, shares)
        free[target.id] -= view.size(adapter)
        after = capacity({**holders, adapter: [*holders[adapter], target]}, free, shares)
        return attach(adapter, target, view) if after >= before else None


def capacity(
    holders: dict[AdapterId, list[Instance]],
    free: dict[InstanceId, float],
    shares: dict[AdapterId, float],
) -> float:
    """Bytes by which the load could grow, at these shares, until some adapter has no room."""
    return min(sum(free[i.id] for i in held) / shares[a] for a, held in holders.items())


def free_bytes(instance: Instance, view: View) -> float:
    """KV memory that no request holds; free sequences where the model states no KV size."""
    per_token = instance.model.kv_bytes_per_token
    if not per_token:
        return float(instance.slots - instance.load)
    return max(0.0, view.kv_tokens(instance) - view.context_tokens(instance)) * per_token
