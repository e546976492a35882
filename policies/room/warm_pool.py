"""FaasCache's pool of warm instances: idle ones stay until room is needed, and go by GDSF."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from fleet.commands import Command, Dispatch, StopInstance
from fleet.domain import InstanceId, ModelId, ModelSpec, NodeId
from fleet.events import InstanceLost, InstanceStopped, NodeLost
from fleet.holders import Instance
from fleet.plans import UNNUMBERED, Step, Steps
from fleet.policy import Clearing
from fleet.view import View
from policies.room.clearing import Leave, cheapest, clearable, idle_cost_s, reload_s, stop_s
from policies.room.stopping import EvictIdle
from policies.room.victims import freed


class WarmPool:
    """What FaasCache remembers: a clock, uses by model, and the clock at each last use."""

    __slots__ = ("clock", "model_of", "stamps", "uses")

    def __init__(self) -> None:
        self.clock = 0.0
        self.uses: dict[ModelId, int] = {}
        self.stamps: dict[InstanceId, float] = {}
        self.model_of: dict[InstanceId, ModelId] = {}

    def used(self, instance: Instance) -> None:
        model = instance.model.id
        self.uses[model] = self.uses.get(model, 0) + 1
        self.stamps[instance.id] = self.clock
        self.model_of[instance.id] = model

    def priority(self, instance: Instance, view: View) -> float:
        """H = clock at last use + uses of the model * cost / size: seconds to load, GiB held."""
        gib = sum(s.gpu_bytes * len(s.gpus) for s in instance.shards) / 2**30
        uses = self.uses.get(instance.model.id, 0)
        return self.stamps.get(instance.id, self.clock) + uses * reload_s(instance, view) / gib

    def gone(self, instance: InstanceId) -> None:
        """With the last instance of a model, its uses are forgotten."""
        model = self.model_of.pop(instance, None)
        if model is not None:
            del self.stamps[instance]
            if model not in self.model_of.values():
                del self.uses[model]


@dataclass(frozen=True)
class EvictGreedyDual(EvictIdle):
    """Stop the idle instances whose H = clock + uses * load time / size add up to least.

    The clock rises to the H of what stops, so that what was popular once leaves in the end. Uses
    are those of all instances of the model since it has had any. Meant beside `forever`: then there
    is no keep-alive at all, only this order.
    """

    source: ClassVar[str] = "FaasCache (Fuerst and Sharma, ASPLOS'21), section 4.2"
    departs: ClassVar[str] = (
        "FaasCache evicts from one pool in the order of H; here the room must come from one node, "
        "and of the sets that free it the one of least total H goes."
    )
    observes: ClassVar = (Dispatch, InstanceStopped, InstanceLost, NodeLost)

    _pool: WarmPool = field(default_factory=WarmPool, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        pool = self._pool
        match fact:
            case Dispatch():
                pool.used(view.instance(fact.instance))
            case InstanceStopped():
                if fact.instance in pool.stamps:
                    instance = view.instance(fact.instance)
                    pool.clock = max(pool.clock, pool.priority(instance, view))
                pool.gone(fact.instance)
            case InstanceLost():
                pool.gone(fact.instance)
            case NodeLost():
                for lost in view.on_node(fact.node):
                    pool.gone(lost.id)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        if not view.nodes.idle_gpus[node] and view.nodes.pick(node, model.need) is None:
            return None  # asked often on a full fleet
        idle = [i for i in clearable(node, model, view) if not i.load]
        ways = {i.id: Leave(self._pool.priority(i, view)) for i in idle}
        found = cheapest(node, model, ways, view)
        if found is None:
            return None
        victims = [victim for victim, _ in found]
        free = tuple(view.nodes.free_bytes[node])
        for victim in victims:
            free = tuple(freed(free, victim, view.node(node)))
        steps: tuple[Step[Command], ...] = tuple(
            Step(StopInstance(UNNUMBERED, victim.id)) for victim in victims
        )
        plan = Steps(steps, view.now + stop_s(node, view))
        cost_s = sum(idle_cost_s(victim, view) for victim in victims)
        return Clearing(plan, plan.ready_at, cost_s, free)
