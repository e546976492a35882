"""What placements are made of: when a node would have the model ready, and plans to start it."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from fleet.cards import pick
from fleet.commands import Sleep, StartInstance, StopInstance, Wake
from fleet.domain import REMOTE, ModelSpec, NodeId, Place, Shard, Tier
from fleet.holders import Instance
from fleet.plans import NOTHING, UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import Clearing, Room
from fleet.view import View

LOADED_FROM: Final = (Tier.REMOTE, Tier.SSD, Tier.DRAM)


def load_s(model: ModelSpec, view: View, stages: int | None = None) -> npt.NDArray[np.float64]:
    """Believed seconds to load the model on each node, from the nearest copy each has.

    `stages` are those it would be loaded in, if not the model's own.
    """
    table = np.array(
        [
            [view.estimates.load_s(model, example, tier, stages) for tier in LOADED_FROM]
            for example in view.nodes.examples
        ]
    )
    column: npt.NDArray[np.float64] = table[view.nodes.example_of, view.tiers(model.id)]
    return column


def ready_at(model: ModelSpec, node: NodeId, free_at: float, view: View) -> float:
    """When the model would be ready on a node whose cards are free at `free_at`, as believed."""
    tier = view.source(model.id, node).tier
    return view.ready_at(node, view.estimates.load_s(model, view.node(node), tier), free_at)


def start(model: ModelSpec, shards: tuple[Shard, ...], view: View, first: Plan) -> Plan:
    """A plan that starts the model once `first` is done; its `ready_at` is to be set."""
    sources = tuple(view.source(model.id, s.node) for s in shards)
    command = StartInstance(UNNUMBERED, planned(len(first.steps)), model.id, shards, sources)
    return first.then(command, first.ready_at)


def wakes(model: ModelSpec, view: View) -> Iterator[tuple[float, Plan]]:
    """Sleeping instances whose cards are free again, with when each would be ready."""
    for instance in view.asleep(model.id):
        if all(_free(shard, view) for shard in instance.shards):
            source = _wake_source(instance, view)
            tier = source.tier if source.node is not None else Tier.REMOTE
            node = view.node(instance.node)
            ready_at = view.now + view.estimates.wake_s(model, node, tier)
            yield ready_at, Steps((Step(Wake(UNNUMBERED, instance.id, source)),), ready_at)


def earliest_wake(model: ModelSpec, view: View) -> tuple[float, Plan | None]:
    """The sleeping instance that would be ready first, and when; inf if none can wake."""
    return min(wakes(model, view), default=(np.inf, None), key=lambda w: w[0])


def _wake_source(instance: Instance, view: View) -> Place:
    if len(instance.shards) > 1:
        return REMOTE
    return view.source(instance.model.id, instance.node)


def _free(shard: Shard, view: View) -> bool:
    if not view.nodes.alive[shard.node]:
        return False
    cards = view.nodes.free_bytes[shard.node]
    return all(cards[gpu] >= shard.gpu_bytes for gpu in shard.gpus)


def nearest(reach: npt.NDArray[np.bool_], order: npt.NDArray[np.float64], most: int) -> list[int]:
    """At most so many of the nodes in reach, those with the least `order` first; ties by node."""
    nodes = np.flatnonzero(reach)
    if not len(nodes):
        return []
    if len(nodes) > most:  # a partition would not keep ties in order
        nodes = nodes[order[nodes] <= np.partition(order[nodes], most - 1)[most - 1]]
    return [int(n) for n in nodes[np.lexsort((nodes, order[nodes]))][:most]]


def start_there(model: ModelSpec, node: NodeId, at: float, view: View) -> Plan:
    """Start on cards of the node that are free."""
    shard = view.nodes.pick(node, model.need)
    assert shard is not None, "the column says it fits"
    return start(model, (shard,), view, Steps((), at))


def behind(clearing: Clearing, node: NodeId, model: ModelSpec, at: float, view: View) -> Plan:
    """Start on the cards that a clearing frees."""
    shard = pick(view.node(node), clearing.free_bytes, model.need)
    assert shard is not None, "a clearing frees what was asked for"
    return start(model, (shard,), view, Steps(clearing.plan.steps, at))


def place_stages(
    model: ModelSpec, order: npt.NDArray[np.float64], view: View, room: Room
) -> Plan | None:
    """A node a stage, least `order` first; nodes are cleared by stopping idle instances only.

    The first nodes that serve are taken: good, not best. Ready when the last stage is.
    """
    reach = view.nodes.fits(model.need) | room.reach(model, view)
    shards: list[Shard] = []
    first, last_at = NOTHING, view.now
    for node in map(NodeId, nearest(reach, order, len(view.nodes))):
        shard, free_at = view.nodes.pick(node, model.need), view.now
        if shard is None:
            clearing = room.make(node, model, view)
            if clearing is None or not _only_stops(clearing.plan):
                continue
            shard, free_at = (
                pick(view.node(node), clearing.free_bytes, model.need),
                clearing.free_at,
            )
            assert shard is not None, "a clearing frees what was asked for"
            new = tuple(step for step in clearing.plan.steps if step not in first.steps)
            first = first.beside(Steps(new, free_at))
        shards.append(shard)
        last_at = max(last_at, ready_at(model, node, free_at, view))
        if len(shards) == model.stages:
            return start(model, tuple(shards), view, Steps(first.steps, last_at))
    return None


def _only_stops(plan: Plan) -> bool:
    return all(isinstance(step.command, StopInstance | Sleep) for step in plan.steps)
