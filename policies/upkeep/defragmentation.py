"""Nodes that are partly used are emptied onto others, so that models of several cards can start."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.cards import pick
from fleet.commands import By, Command, Migrate, StartInstance, StopInstance
from fleet.domain import NodeId, Shard, Whole
from fleet.holders import Instance, Phase
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.view import View
from policies.room.clearing import stop_s
from policies.room.migration import movable

#: What a move costs a request: the recomputation of its last tokens, and their iteration.
LAST_ROUND_TOKENS = 20


@dataclass(frozen=True)
class Defragment:
    """Every `every_s`, empty the partly used node that is cheapest to empty, if that pays.

    Instances are packed first-fit decreasing: the largest goes to the fullest node that is partly
    used and takes it whole. It pays if saved > spent: saved = the node's card price * its cards *
    `every_s`; spent = card price * cards * load_s for each instance, which is held twice so long,
    plus `value_per_s` * the seconds that requests pause as they move. `value_per_s` is what a
    second of one client's waiting is worth, in the unit of prices; without prices so is a card's.
    On a node that is emptied a model of several cards can start. One node a period; those on which
    something is on its way are left alone.
    """

    source: ClassVar[str] = (
        "this project, after Llumnix (OSDI'24); first-fit decreasing: Johnson, 1973"
    )

    every_s: Annotated[float, Meta(gt=0)] = 60.0
    value_per_s: Annotated[float, Meta(gt=0)] = 0.01

    def tend(self, view: View) -> Iterator[Plan]:
        partly = [NodeId(n) for n in range(len(view.nodes)) if partly_used(NodeId(n), view)]
        best: tuple[float, NodeId, dict[Instance, Shard]] | None = None
        for node in partly:
            packed = packing(node, partly, view)
            if packed is None:
                continue
            gain = self.saved(node, view) - self.spent(packed, view)
            if gain > 0.0 and (best is None or gain > best[0]):
                best = gain, node, packed
        if best is not None:
            yield emptying(best[1], best[2], view)

    def saved(self, node: NodeId, view: View) -> float:
        return self.card_price(node, view) * view.node(node).gpus * self.every_s

    def spent(self, packed: dict[Instance, Shard], view: View) -> float:
        spent = 0.0
        for instance, shard in packed.items():
            cards = len(shard.gpus)
            spent += self.card_price(shard.node, view) * cards * load_s(instance, shard.node, view)
            spent += self.value_per_s * pause_s(instance, shard.node, view)
        return spent

    def card_price(self, node: NodeId, view: View) -> float:
        """Money a second for a card."""
        spec = view.node(node)
        return spec.price_per_s / spec.gpus if spec.price_per_s else self.value_per_s


def partly_used(node: NodeId, view: View) -> bool:
    """Some of its cards are free and some are not, and nothing there is on its way."""
    free = int(view.nodes.free_gpus[node])
    if not view.nodes.alive[node] or not 0 < free < view.node(node).gpus:
        return False
    return all(i.phase is Phase.READY for i in view.on_node(node))


def packing(node: NodeId, partly: list[NodeId], view: View) -> dict[Instance, Shard] | None:
    """Where everything on the node would go; None if something cannot, or nothing fits."""
    instances = sorted(view.on_node(node), key=lambda i: (-size_bytes(i), i.id))
    free = {n: list(view.nodes.free_bytes[n]) for n in partly if n != node}
    packed: dict[Instance, Shard] = {}
    for instance in instances:
        if instance.inbound or not movable(instance) or not isinstance(instance.model.need, Whole):
            return None
        fullest = sorted(free, key=lambda n: (sum(free[n]), n))
        shards = (pick(view.node(n), free[n], instance.model.need) for n in fullest)
        shard = next((s for s in shards if s is not None), None)
        if shard is None:
            return None
        packed[instance] = shard
        for gpu in shard.gpus:
            free[shard.node][gpu] -= shard.gpu_bytes
    return packed


def emptying(node: NodeId, packed: dict[Instance, Shard], view: View) -> Plan:
    """Start each elsewhere, move its requests by tokens, stop it. An idle one just stops."""
    steps: list[Step[Command]] = []
    last_s = 0.0
    for instance, shard in packed.items():
        first = len(steps)
        if instance.running:
            source = view.source(instance.model.id, shard.node)
            start = (planned(first), instance.model.id, (shard,), (source,))
            steps.append(Step(StartInstance(UNNUMBERED, *start)))
            last_s = max(last_s, load_s(instance, shard.node, view))
        for request in instance.running:
            move = Migrate(UNNUMBERED, request, instance.id, planned(first), By.TOKENS)
            steps.append(Step(move, (first,)))
        after = tuple(range(first, len(steps)))
        steps.append(Step(StopInstance(UNNUMBERED, instance.id), after))
    return Steps(tuple(steps), view.now + last_s + stop_s(node, view))


def size_bytes(instance: Instance) -> int:
    return sum(len(s.gpus) * s.gpu_bytes for s in instance.shards)


def load_s(instance: Instance, node: NodeId, view: View) -> float:
    """Believed seconds of its load there; 0 if it has no work, for then it is not loaded."""
    if not instance.running:
        return 0.0
    source = view.source(instance.model.id, node)
    return view.estimates.load_s(instance.model, view.node(node), source.tier)


def pause_s(instance: Instance, node: NodeId, view: View) -> float:
    """Seconds that its requests pause together as they move there."""
    pace = view.estimates.pace(instance.model.id, view.node(node).kind)
    each_s = pace.decode_s_per_token + LAST_ROUND_TOKENS * pace.prefill_s_per_token
    return each_s * len(instance.running)
