"""Making room by live migration: victims, and targets for what runs on them, chosen together."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from math import inf
from typing import Literal

import numpy as np
import numpy.typing as npt

from fleet.cards import pick
from fleet.commands import By, Command, Migrate, StartInstance, StopInstance
from fleet.domain import InstanceId, ModelSpec, NodeId, Part, Shard
from fleet.holders import Flight, Instance
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import Clearing
from fleet.view import View
from policies.clearing import Leave, clearable, clearing, idle_cost_s, stop_s, whole_cards
from policies.placement import load_s, nearest
from policies.victims import Found, Search, Way


@dataclass(frozen=True, slots=True)
class Move:
    """Migrate all `requests` of an instance to a ready one (`to`), or to one started on `shard`.

    `cost_s` = wait_s + load_s + resume_s, plus what loads on the same node put on each other.
    """

    cost_s: float
    node: NodeId
    requests: int
    resume_s: float
    wait_s: float = 0.0  # until the loads that the target node has begun are over
    load_s: float = 0.0
    to: Instance | None = None
    shard: Shard | None = None


@dataclass(frozen=True)
class MigrateVictims:
    """Move running requests to other nodes, live, so that their cards come free at no loss.

    ServerlessLLM (OSDI'24, section 5): a victim costs the load of its model on the target,
    q + n / b, plus the time to recompute its requests' KV cache there, a * (t_in + t_out) with
    t_out = d / t. A ready instance of its model with free slots needs no load. The victims and
    targets with the least sum are found exactly: no two count on the same free cards, and of two
    loads on one target the shorter goes first and the longer waits, as each waits for the loads
    that are already there. `by` says what moves: tokens (recomputed) or the KV blocks.
    """

    by: Literal["tokens", "kv"] = "tokens"

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        found = cheapest_moves(node, model, view)
        if found is None:
            return None
        steps: list[Step[Command]] = []
        for victim, way in sorted(found, key=_load_s):  # the order that `free_at` counts on
            first = len(steps)
            if isinstance(way, Move):
                steps += self._move(victim, way, first, view)
            after = tuple(range(first, len(steps)))
            steps.append(Step(StopInstance(UNNUMBERED, victim.id), after))
        moved_at = view.now + moved_after_s([way for _, way in found])
        plan: Plan = Steps(tuple(steps), moved_at + stop_s(node, view))
        return clearing(node, found, plan, view)

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


def cheapest_moves(node: NodeId, model: ModelSpec, view: View) -> Found | None:
    """The victims and ways with the least sum of costs that free the model's share on the node."""
    victims = [i for i in clearable(node, model, view) if movable(i)]
    targets = Targets(node, len(victims), view)
    alone_s = {v.id: min((w.cost_s for w in targets.of(v, ())), default=inf) for v in victims}
    victims = sorted(
        (v for v in victims if alone_s[v.id] < inf), key=lambda v: (alone_s[v.id], v.id)
    )
    search = Search(view.node(node), model.need, victims, alone_s, targets)
    return search.run(view.nodes.free_bytes[node])


def movable(victim: Instance) -> bool:
    """Its requests can all be moved; adapters stay where they are attached."""
    return len(victim.shards) == 1 and all(
        not f.told and f.move is None and f.request.adapter is None for f in victim.running.values()
    )


def moved_after_s(ways: Sequence[Way]) -> float:
    """Seconds until the last request has moved: targets side by side, the loads of one in turn."""
    moves = sorted((w for w in ways if isinstance(w, Move)), key=lambda w: w.load_s)
    loading_s: dict[NodeId, float] = {}
    longest_s = 0.0
    for move in moves:
        loaded_s = 0.0
        if move.shard is not None:
            loaded_s = loading_s.get(move.node, move.wait_s) + move.load_s
            loading_s[move.node] = loaded_s
        longest_s = max(longest_s, loaded_s + move.resume_s)
    return longest_s


def _load_s(chosen: tuple[Instance, Way]) -> float:
    way = chosen[1]
    return way.load_s if isinstance(way, Move) else 0.0


@dataclass(slots=True)
class Targets:
    """Where the requests of a victim could go, given what other victims have taken.

    Each victim keeps its `most` cheapest targets, as many as there are victims: of so many the
    others leave one untouched, which is no dearer than any target beyond them.
    """

    away_from: NodeId
    most: int
    view: View
    _alone: dict[InstanceId, list[Move]] = field(default_factory=dict)

    def of(self, victim: Instance, taken: Sequence[Way]) -> list[Way]:
        if not victim.load:
            return [Leave(idle_cost_s(victim, self.view))]
        alone = self._alone.get(victim.id)
        if alone is None:
            found = [*self._ready(victim), *self._new(victim)]
            alone = self._alone[victim.id] = nsmallest(self.most, found, key=lambda w: w.cost_s)
        moves = [w for w in taken if isinstance(w, Move)]
        ways = [way for move in alone for way in self._given(victim, move, moves)]
        return sorted(ways, key=lambda w: w.cost_s)

    def mark(self, taken: Sequence[Way]) -> Hashable:
        """Slots taken of ready instances; cards taken, and loads begun, of nodes."""
        return tuple(
            sorted(
                (w.node, -1 if w.to is None else w.to.id, w.requests if w.to is not None else 0)
                + ((w.shard.gpus, w.shard.gpu_bytes, w.load_s) if w.shard is not None else ())
                for w in taken
                if isinstance(w, Move)
            )
        )

    def _ready(self, victim: Instance) -> Iterator[Move]:
        """Ready instances with slots for all its requests: enough of each kind, no more."""
        flights = list(victim.running.values())
        seen: dict[str, int] = {}
        for other in self.view.ready(victim.model.id):
            if other.load + len(flights) > other.slots:
                return  # least loaded first, and all have as many slots
            kind = self.view.node(other.node).kind
            if other.node != self.away_from and seen.get(kind, 0) < self.most:
                seen[kind] = seen.get(kind, 0) + 1
                resume_s = self._resume_s(flights, other.node)
                yield Move(resume_s, other.node, len(flights), resume_s, to=other)

    def _new(self, victim: Instance) -> Iterator[Move]:
        """The nodes with room where the victim's requests would run again first, q included."""
        view = self.view
        fits = view.nodes.fits(victim.model.need)
        fits[self.away_from] = False
        if not fits.any():
            return
        flights = list(victim.running.values())
        by_kind_s = np.array([self._resume_s(flights, e.id) for e in view.nodes.examples])
        resume_s = by_kind_s[view.nodes.example_of]
        wait_s = np.maximum(view.nodes.loading_until - view.now, 0.0)
        alone_s = load_s(victim.model, view)
        cost_s = wait_s + alone_s + resume_s
        for node in nearest(fits, cost_s, self.most):
            each = (float(column[node]) for column in (cost_s, resume_s, wait_s, alone_s))
            total_s, resumed_s, waited_s, loaded_s = each
            yield Move(total_s, NodeId(node), len(flights), resumed_s, waited_s, loaded_s)

    def _resume_s(self, flights: list[Flight], node: NodeId) -> float:
        return sum(self.view.resume_s(f, node) for f in flights)

    def _given(self, victim: Instance, move: Move, taken: list[Move]) -> Iterator[Move]:
        """The move beside those taken. On one node, loads go shortest first.

        Sorted so, loads l end after sum(l_i) + sum over pairs of min(l_i, l_j) seconds in all.
        """
        if move.to is not None:
            used = sum(w.requests for w in taken if w.to is move.to)
            if move.to.load + used + move.requests <= move.to.slots:
                yield move
            return
        here = [w for w in taken if w.shard is not None and w.node == move.node]
        behind_s = sum(min(move.load_s, w.load_s) for w in here)
        for shard in self._shards(victim, move.node, here):
            yield replace(move, cost_s=move.cost_s + behind_s, shard=shard)

    def _shards(self, victim: Instance, node: NodeId, here: list[Move]) -> Iterator[Shard]:
        """Cards for it: the first whole ones, or one card of each amount of free memory."""
        free = list(self.view.nodes.free_bytes[node])
        for way in here:
            assert way.shard is not None, "only loads are counted here"
            for gpu in way.shard.gpus:
                free[gpu] -= way.shard.gpu_bytes
        need = victim.model.need
        if not isinstance(need, Part):
            shard = pick(self.view.node(node), free, need)
            if shard is not None:
                yield shard
            return
        for free_bytes in sorted({b for b in free if b >= need.gpu_bytes}):
            yield Shard(node, (free.index(free_bytes),), need.gpu_bytes)
