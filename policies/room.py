"""How to make room on a node: stop idle instances, preempt, or migrate running requests away.

Each answers with the cheapest clearing it can find there, or None. What it costs is service time
taken from others, in seconds, so that different ways of making room can be compared.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fleet.cards import pick
from fleet.commands import By, Command, Keep, Migrate, Preempt, StartInstance, StopInstance
from fleet.domain import InstanceId, ModelSpec, NodeId, Part, Shard
from fleet.holders import Flight, Instance, Phase
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import Clearing, Room
from fleet.view import View
from policies.placement import load_s, nearest
from policies.victims import Search, Way, freed

#: How far ahead the chance is counted that an idle instance will be asked for again.
REUSE_HORIZON_S = 60.0


@dataclass(frozen=True)
class NoRoom:
    """Never take anything from anybody."""

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return np.zeros(len(view.nodes), np.bool_)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        return None


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an idle instance."""

    cost_s: float


@dataclass(frozen=True, slots=True)
class Push:
    """Preempt every request of an instance, then stop it."""

    cost_s: float


@dataclass(frozen=True, slots=True)
class Move:
    """Migrate every request of an instance to a ready one, or to one started for them."""

    cost_s: float
    to: Instance | None = None
    shard: Shard | None = None
    load_s: float = 0.0
    requests: int = 0


def idle_cost_s(victim: Instance, view: View) -> float:
    """Expected seconds of loading it again: the chance of an arrival soon, times its load."""
    again = 1.0 - math.exp(-view.rate(victim.model.id) * REUSE_HORIZON_S)
    node = view.node(victim.node)
    source = view.source(victim.model.id, victim.node)
    return again * view.estimates.load_s(victim.model, node, source.tier)


def clearable(node: NodeId, model: ModelSpec, view: View) -> list[Instance]:
    """Ready instances that a plan may stop: not the model's own, no migration on its way there."""
    return [
        i
        for i in view.on_node(node)
        if i.phase is Phase.READY and not i.inbound and i.model.id != model.id
    ]


def stop_s(node: NodeId, view: View) -> float:
    return view.estimates.belief(view.node(node).kind).stop_s


@dataclass(frozen=True)
class EvictIdle:
    """Stop instances without work: the set least likely to be missed that frees enough."""

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        if isinstance(model.need, Part):
            reach: npt.NDArray[np.bool_] = view.nodes.idle_gpus > 0
        else:
            reach = view.nodes.free_gpus + view.nodes.idle_gpus >= model.need.gpus
        return reach

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        idle = [i for i in clearable(node, model, view) if not i.load]
        costs = {i.id: Stop(idle_cost_s(i, view)) for i in idle}
        idle.sort(key=lambda i: (costs[i.id].cost_s, i.idle_since, i.id))
        found = Search(view.node(node), model.need, idle, Fixed(costs)).run(
            view.nodes.free_bytes[node]
        )
        if found is None:
            return None
        steps = tuple(Step[Command](StopInstance(UNNUMBERED, victim.id)) for victim, _ in found)
        return clearing(node, found, Steps(steps, view.now + stop_s(node, view)), view)


@dataclass(frozen=True)
class Fixed:
    """Each victim has one way, whatever the others do."""

    costs: Mapping[InstanceId, Way]

    def of(self, victim: Instance, taken: Sequence[Way]) -> Iterable[Way]:
        return (self.costs[victim.id],)


@dataclass(frozen=True)
class PreemptVictims:
    """Stop instances in the middle of their requests, which keep their tokens and wait again.

    ServerlessLLM's "Shepherd*" (OSDI'24, section 7): the same choice of server, but preempting
    where ServerlessLLM migrates. A request is pushed off at most `most_preemptions` times, so that
    two models cannot push each other for ever. Costs the load to come back and recomputed tokens.
    """

    most_preemptions: int = 2

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        victims = [i for i in clearable(node, model, view) if self._may(i)]
        costs = {i.id: Push(self._cost_s(i, view)) for i in victims}
        victims.sort(key=lambda i: (costs[i.id].cost_s, i.id))
        found = Search(view.node(node), model.need, victims, Fixed(costs)).run(
            view.nodes.free_bytes[node]
        )
        if found is None:
            return None
        steps: list[Step[Command]] = []
        for victim, _ in found:
            first = len(steps)
            steps += [Step(Preempt(UNNUMBERED, r, Keep.TOKENS)) for r in victim.running]
            after = tuple(range(first, len(steps)))
            steps.append(Step(StopInstance(UNNUMBERED, victim.id), after))
        plan: Plan = Steps(tuple(steps), view.now + stop_s(node, view))
        return clearing(node, found, plan, view)

    def _may(self, victim: Instance) -> bool:
        return all(
            not f.told and f.move is None and f.attempts <= self.most_preemptions
            for f in victim.running.values()
        )

    def _cost_s(self, victim: Instance, view: View) -> float:
        if not victim.load:
            return idle_cost_s(victim, view)
        node = view.node(victim.node)
        source = view.source(victim.model.id, victim.node)
        again_s = view.estimates.load_s(victim.model, node, source.tier)
        return again_s + sum(view.resume_s(f, victim.node) for f in victim.running.values())


def whole_cards(model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
    """Nodes that have so many cards at all."""
    cards = np.array([s.gpus for s in view.nodes.examples])[view.nodes.example_of]
    needed = 1 if isinstance(model.need, Part) else model.need.gpus
    reach: npt.NDArray[np.bool_] = np.array(view.nodes.alive) & (cards >= needed)
    return reach


@dataclass(frozen=True)
class MigrateVictims:
    """Move running requests to other nodes, live, so that their cards come free at no loss.

    ServerlessLLM (OSDI'24, section 5): a victim costs the load of its model on the target,
    q + n / b, plus the time to recompute its requests' KV cache there, a * (t_in + t_out) with
    t_out = d / t. A ready instance of its model with free slots needs no load. The set of victims and targets
    with the least total is found exactly; no two victims count on the same free cards, and a
    load behind another on the same node waits for it.
    """

    by: str = "tokens"

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        victims = [i for i in clearable(node, model, view) if _movable(i)]
        targets = Targets(node, len(victims), view)
        cheapest = {i.id: min((w.cost_s for w in targets.of(i, ())), default=None) for i in victims}
        victims = [i for i in victims if cheapest[i.id] is not None]
        victims.sort(key=lambda i: (cheapest[i.id], i.id))
        found = Search(view.node(node), model.need, victims, targets).run(
            view.nodes.free_bytes[node]
        )
        if found is None:
            return None
        return clearing(node, found, self._plan(node, found, view), view)

    def _plan(self, node: NodeId, found: Sequence[tuple[Instance, Way]], view: View) -> Plan:
        steps: list[Step[Command]] = []
        longest_s = 0.0
        for victim, way in found:
            first = len(steps)
            if isinstance(way, Move):
                longest_s = max(longest_s, way.cost_s)
                steps += self._move(victim, way, first, view)
            after = tuple(range(first, len(steps)))
            steps.append(Step(StopInstance(UNNUMBERED, victim.id), after))
        return Steps(tuple(steps), view.now + longest_s + stop_s(node, view))

    def _move(self, victim: Instance, way: Move, first: int, view: View) -> Iterator[Step[Command]]:
        after: tuple[int, ...] = ()
        if way.shard is not None:
            model = victim.model.id
            source = view.source(model, way.shard.node)
            yield Step(StartInstance(UNNUMBERED, planned(first), model, (way.shard,), (source,)))
            target, after = planned(first), (first,)
        else:
            assert way.to is not None, "a move has a target"
            target = way.to.id
        for request in victim.running:
            yield Step(Migrate(UNNUMBERED, request, victim.id, target, By(self.by)), after)


def _movable(victim: Instance) -> bool:
    """Its requests can all be moved; adapters stay where they are attached."""
    return len(victim.shards) == 1 and all(
        not f.told and f.move is None and f.request.adapter is None for f in victim.running.values()
    )


@dataclass(slots=True)
class Targets:
    """Where the requests of a victim could go, given what other victims have taken."""

    away_from: NodeId
    most: int  # this many nodes are enough: each other victim can take at most one of them
    view: View
    _nodes: dict[int, tuple[list[int], npt.NDArray[np.float64]]] = field(default_factory=dict)

    def of(self, victim: Instance, taken: Sequence[Way]) -> list[Way]:
        if not victim.load:
            return [Stop(idle_cost_s(victim, self.view))]
        flights = list(victim.running.values())
        ways: list[Way] = [*self._ready(victim, flights, taken), *self._new(victim, flights, taken)]
        ways.sort(key=lambda way: way.cost_s)
        return ways

    def _ready(
        self, victim: Instance, flights: list[Flight], taken: Sequence[Way]
    ) -> Iterator[Move]:
        for other in self.view.ready(victim.model.id):
            if other.node == self.away_from:
                continue
            used = sum(w.requests for w in taken if isinstance(w, Move) and w.to is other)
            if other.load + used + len(flights) <= other.slots:
                resume_s = sum(self.view.resume_s(f, other.node) for f in flights)
                yield Move(resume_s, to=other, requests=len(flights))

    def _new(self, victim: Instance, flights: list[Flight], taken: Sequence[Way]) -> Iterator[Move]:
        nodes, loads_s = self._nearest(victim)
        for node in map(NodeId, nodes):
            shard = self._shard(victim, node, taken)
            if shard is not None:
                queue_s = sum(
                    w.load_s
                    for w in taken
                    if isinstance(w, Move) and w.shard is not None and w.shard.node == node
                )
                resume_s = sum(self.view.resume_s(f, node) for f in flights)
                cost_s = float(loads_s[node]) + queue_s + resume_s
                yield Move(cost_s, shard=shard, load_s=self._alone_s(victim, node))

    def _nearest(self, victim: Instance) -> tuple[list[int], npt.NDArray[np.float64]]:
        """The nodes with room now where the victim's model is ready first, q included."""
        known = self._nodes.get(victim.id)
        if known is None:
            view = self.view
            queue_s = np.maximum(view.nodes.loading_until - view.now, 0.0)
            loads_s = queue_s + load_s(victim.model, view)
            fits = view.nodes.fits(victim.model.need)
            fits[self.away_from] = False
            known = self._nodes[victim.id] = (nearest(fits, loads_s, self.most), loads_s)
        return known

    def _alone_s(self, victim: Instance, node: NodeId) -> float:
        source = self.view.source(victim.model.id, node)
        return self.view.estimates.load_s(victim.model, self.view.node(node), source.tier)

    def _shard(self, victim: Instance, node: NodeId, taken: Sequence[Way]) -> Shard | None:
        free = list(self.view.nodes.free_bytes[node])
        for way in taken:
            if isinstance(way, Move) and way.shard is not None and way.shard.node == node:
                for gpu in way.shard.gpus:
                    free[gpu] -= way.shard.gpu_bytes
        return pick(self.view.node(node), free, victim.model.need)


def clearing(
    node: NodeId, found: Sequence[tuple[Instance, Way]], plan: Plan, view: View
) -> Clearing:
    free: Sequence[int] = view.nodes.free_bytes[node]
    for victim, _ in found:
        free = freed(free, victim, view.node(node))
    cost_s = sum(way.cost_s for _, way in found)
    return Clearing(plan, plan.ready_at, cost_s, tuple(free))


@dataclass(frozen=True)
class CheapestRoom:
    """Ask several, take the clearing that costs others least; the first of equals."""

    rooms: tuple[Room, ...] = (EvictIdle(), MigrateVictims())

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        reach = self.rooms[0].reach(model, view)
        for room in self.rooms[1:]:
            reach = reach | room.reach(model, view)
        return reach

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        clearings = (room.make(node, model, view) for room in self.rooms)
        found = [c for c in clearings if c is not None]
        return min(found, key=lambda c: c.cost_s, default=None)
