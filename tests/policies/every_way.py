"""All sets of victims, all their ways to go, all orders of loading: the least cost by enumeration.

Shares nothing with the policies but the estimates. Slow on purpose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from math import exp, inf

from fleet.domain import ModelSpec, NodeId, Tier, Whole
from fleet.holders import Instance, Phase
from fleet.view import View

Cards = dict[tuple[NodeId, int], int]


@dataclass(frozen=True)
class Target:
    """Where a victim goes: cards of a node, or a ready instance. Neither: it just stops."""

    node: NodeId | None = None
    gpus: tuple[int, ...] = ()
    to: Instance | None = None


def least_cost_s(node: NodeId, model: ModelSpec, view: View, *, migrating: bool) -> float:
    """inf if no set of victims frees the model's share on the node."""
    candidates = [
        i for i in view.on_node(node) if i.phase is Phase.READY and i.model.id != model.id
    ]
    if not migrating:
        candidates = [i for i in candidates if not i.running]
    best_s = inf
    for size in range(len(candidates) + 1):
        for victims in combinations(candidates, size):
            if frees(node, model, victims, view):
                for targets in product(*(ways(v, node, view) for v in victims)):
                    best_s = min(best_s, cost_s(victims, targets, view))
    return best_s


def frees(node: NodeId, model: ModelSpec, victims: Sequence[Instance], view: View) -> bool:
    free = list(view.nodes.free_bytes[node])
    for victim in victims:
        for shard in victim.shards:
            for gpu in shard.gpus if shard.node == node else ():
                free[gpu] += shard.gpu_bytes
    if isinstance(model.need, Whole):
        return free.count(view.node(node).gpu_bytes) >= model.need.gpus
    return max(free) >= model.need.gpu_bytes


def ways(victim: Instance, away_from: NodeId, view: View) -> Iterator[Target]:
    if not victim.running:
        yield Target()
        return
    need = victim.model.need
    cards = need.gpus if isinstance(need, Whole) else 1
    for spec in view.nodes.specs:
        if spec.id != away_from and view.nodes.alive[spec.id]:
            for gpus in combinations(range(spec.gpus), cards):
                yield Target(spec.id, gpus)
    for other in view.ready(victim.model.id):
        if other.node != away_from:
            yield Target(other.node, to=other)


def cost_s(victims: Sequence[Instance], targets: Sequence[Target], view: View) -> float:
    """inf if the targets do not have that room together."""
    if not room_enough(victims, targets, view):
        return inf
    total_s = 0.0
    loads_s: dict[NodeId, list[float]] = {}
    for victim, target in zip(victims, targets, strict=True):
        total_s += stay_s(victim, target, view)
        if target.node is not None and target.to is None:
            loads_s.setdefault(target.node, []).append(load_s(victim, target.node, view))
    for node, each_s in loads_s.items():
        queue_s = max(0.0, float(view.nodes.loading_until[node]) - view.now)
        total_s += min(in_turn_s(order, queue_s) for order in permutations(each_s))
    return total_s


def in_turn_s(loads_s: Sequence[float], begin_s: float) -> float:
    """The sum of the times at which loads one after another end."""
    sum_s = 0.0
    for each_s in loads_s:
        begin_s += each_s
        sum_s += begin_s
    return sum_s


def stay_s(victim: Instance, target: Target, view: View) -> float:
    """What a victim costs besides its load: recomputation, or the chance of being missed."""
    if target.node is None:
        again = 1.0 - exp(-view.rate(victim.model.id) * 60.0)
        return again * load_s(victim, victim.node, view)
    return sum(view.resume_s(f, target.node) for f in victim.running.values())


def load_s(victim: Instance, node: NodeId, view: View) -> float:
    tier = view.cached(victim.model.id).get(node, Tier.REMOTE)
    return view.estimates.load_s(victim.model, view.node(node), tier)


def room_enough(victims: Sequence[Instance], targets: Sequence[Target], view: View) -> bool:
    free: Cards = {
        (n.id, gpu): free
        for n in view.nodes.specs
        for gpu, free in enumerate(view.nodes.free_bytes[n.id])
    }
    slots: dict[int, int] = {}
    for victim, target in zip(victims, targets, strict=True):
        if target.to is not None:
            slots.setdefault(target.to.id, target.to.slots - target.to.load)
            slots[target.to.id] -= len(victim.running)
        elif target.node is not None:
            for gpu in target.gpus:
                free[target.node, gpu] -= victim.shards[0].gpu_bytes
    return min(free.values(), default=0) >= 0 and min(slots.values(), default=0) >= 0
