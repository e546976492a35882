"""Where a new instance goes: the cold path."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleet.cards import pick
from fleet.commands import Sleep, StartInstance, StopInstance, Wake
from fleet.domain import REMOTE, ModelSpec, NodeId, Place, Shard, Tier
from fleet.holders import Instance
from fleet.needs import Need
from fleet.plans import NOTHING, UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import FULL, Clearing, Placed, Room
from fleet.view import View


def load_s(model: ModelSpec, view: View) -> npt.NDArray[np.float64]:
    """Believed seconds to load the model on each node, from the nearest copy each has."""
    table = np.array(
        [
            [view.estimates.load_s(model, example, tier) for tier in Tier if tier < Tier.GPU]
            for example in view.nodes.examples
        ]
    )
    column: npt.NDArray[np.float64] = table[view.nodes.example_of, view.tiers(model.id)]
    return column


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


def _wake_source(instance: Instance, view: View) -> Place:
    if len(instance.shards) > 1:
        return REMOTE
    return view.source(instance.model.id, instance.node)


def _free(shard: Shard, view: View) -> bool:
    if not view.nodes.alive[shard.node]:
        return False
    cards = view.nodes.free_bytes[shard.node]
    return all(cards[gpu] >= shard.gpu_bytes for gpu in shard.gpus)


@dataclass(frozen=True)
class EarliestReady:
    """Start where the model is ready first, clearing the node if that still wins.

    ServerlessLLM (OSDI'24, section 5): ready = q + n / b on each node, plus what its clearing takes
    (`room`). Nodes with room are ranked at once; nodes to be cleared are tried in the order of
    their load time until none can beat the best, at most `shortlist` of them.
    """

    shortlist: int = 64

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model = need.model
        if not len(view.nodes):
            return FULL
        ready_at = np.maximum(view.nodes.loading_until, view.now) + load_s(model, view)
        if model.stages > 1:
            return place_stages(model, ready_at, view, room)
        best_at, best = min(wakes(model, view), default=(np.inf, None), key=lambda w: w[0])
        fits = view.nodes.fits(model.need)
        node = int(np.where(fits, ready_at, np.inf).argmin())
        if fits[node] and ready_at[node] < best_at:
            shard = view.nodes.pick(NodeId(node), model.need)
            assert shard is not None, "the column says it fits"
            best_at = float(ready_at[node])
            best = start(model, (shard,), view, Steps((), best_at))
        cleared = self._cleared(model, ready_at, best_at, view, room)
        return cleared or best or FULL

    def _cleared(
        self,
        model: ModelSpec,
        ready_at: npt.NDArray[np.float64],
        best_at: float,
        view: View,
        room: Room,
    ) -> Plan | None:
        """The earliest start behind a clearing, if it beats `best_at`."""
        best: Plan | None = None
        reach = room.reach(model, view) & ~view.nodes.fits(model.need) & (ready_at < best_at)
        for node in nearest(reach, ready_at, self.shortlist):
            if ready_at[node] >= best_at:
                break
            clearing = room.make(NodeId(node), model, view)
            if clearing is None:
                continue
            at = clearing.free_at + float(ready_at[node]) - view.now
            if at < best_at:
                best_at, best = at, behind(clearing, NodeId(node), model, at, view)
        return best


def nearest(
    reach: npt.NDArray[np.bool_], ready_at: npt.NDArray[np.float64], most: int
) -> list[int]:
    """The nodes in reach with the least time, in order; ties by node."""
    nodes = np.flatnonzero(reach)
    if len(nodes) > most:
        nodes = nodes[np.argpartition(ready_at[nodes], most - 1)[:most]]
    return [int(n) for n in nodes[np.lexsort((nodes, ready_at[nodes]))]]


def behind(clearing: Clearing, node: NodeId, model: ModelSpec, at: float, view: View) -> Plan:
    """Start on the cards that a clearing frees."""
    shard = pick(view.node(node), clearing.free_bytes, model.need)
    assert shard is not None, "a clearing frees what was asked for"
    return start(model, (shard,), view, Steps(clearing.plan.steps, at))


def place_stages(
    model: ModelSpec, ready_at: npt.NDArray[np.float64], view: View, room: Room
) -> Placed:
    """A node a stage, earliest first; nodes are cleared by stopping idle instances only."""
    reach = view.nodes.fits(model.need) | room.reach(model, view)
    shards: list[Shard] = []
    first, last_at = NOTHING, view.now
    for node in nearest(reach, ready_at, len(view.nodes)):
        shard = view.nodes.pick(NodeId(node), model.need)
        if shard is None:
            clearing = room.make(NodeId(node), model, view)
            if clearing is None or not _only_stops(clearing.plan):
                continue
            shard = pick(view.node(NodeId(node)), clearing.free_bytes, model.need)
            assert shard is not None, "a clearing frees what was asked for"
            new = tuple(step for step in clearing.plan.steps if step not in first.steps)
            first = first.beside(Steps(new, clearing.free_at))
        shards.append(shard)
        last_at = max(last_at, float(ready_at[node]))
        if len(shards) == model.stages:
            return start(model, tuple(shards), view, Steps(first.steps, last_at))
    return FULL


def _only_stops(plan: Plan) -> bool:
    return all(isinstance(step.command, StopInstance | Sleep) for step in plan.steps)


@dataclass(frozen=True)
class RandomPlacement:
    """Any node with room, evenly; else any that can be cleared. ServerlessLLM's "Serverless".

    Where the checkpoint lies plays no part in the choice.
    """

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model = need.model
        rng = view.stream("placement")
        if model.stages > 1:
            order = np.array([rng.random() for _ in range(len(view.nodes))])
            return place_stages(model, order, view, room)
        free = np.flatnonzero(view.nodes.fits(model.need))
        if len(free):
            node = NodeId(int(free[rng.randrange(len(free))]))
            shard = view.nodes.pick(node, model.need)
            assert shard is not None, "the column says it fits"
            return start(model, (shard,), view, Steps((), view.now))
        reach = [int(n) for n in np.flatnonzero(room.reach(model, view))]
        rng.shuffle(reach)
        for node in map(NodeId, reach):
            clearing = room.make(node, model, view)
            if clearing is not None:
                return behind(clearing, node, model, clearing.free_at, view)
        return FULL
