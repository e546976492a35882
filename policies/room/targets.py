"""Where the requests of victims could go, what each place costs them, and what they share.

It knows nodes with room and ready instances; which victims go is for the search to say.
"""

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest

import numpy as np
import numpy.typing as npt

from fleet.cards import pick
from fleet.domain import InstanceId, NodeId, Part, Shard, Share
from fleet.holders import Flight, Instance
from fleet.view import View
from policies.placement.starts import load_s, nearest
from policies.room.assignment import least_sum
from policies.room.clearing import Leave, idle_cost_s
from policies.room.victims import Way


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


@dataclass(slots=True)
class Targets:
    """Where the requests of a victim could go, given what other victims have taken.

    Each victim keeps its `most` cheapest targets, as many as there are victims: of so many the
    others leave one untouched, which is no dearer than any target beyond them.
    """

    away_from: NodeId
    most: int
    view: View
    parts: bool = False  # whether any victim takes a share of a card
    _alone: dict[InstanceId, list[Move]] = field(default_factory=dict)
    _fits: dict[Share, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def of(self, victim: Instance, taken: Sequence[Way]) -> list[Way]:
        if not victim.load:
            return [Leave(idle_cost_s(victim, self.view))]
        alone = self._alone.get(victim.id)
        if alone is None:
            found = [*self._ready(victim), *self._new(victim)]
            alone = self._alone[victim.id] = nsmallest(self.most, found, key=lambda w: w.cost_s)
        if not alone:
            return []
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

    def at_least_s(self, victims: Sequence[Instance], fewest: int, taken: Sequence[Way]) -> float:
        """The cheapest `fewest` victims with a target each, none shared: an assignment.

        A place of a node is (node, k): the load that k - 1 others wait for costs k times its time,
        so the best order of loads is part of it (Horn 1973). A ready instance has as many places as
        free slots. Cards are counted as if every victim took one, so it is a bound; exact if so.
        """
        moves = [way for way in taken if isinstance(way, Move)]
        rows = [self._places(v, fewest, moves) for v in victims]
        columns = {place: i for i, place in enumerate({p: None for row in rows for p in row})}
        cost = np.full((len(rows), len(columns) + len(rows) - fewest), np.inf)
        cost[:, len(columns) :] = 0.0  # those who may stay
        for i, row in enumerate(rows):
            for place, cost_s in row.items():
                cost[i, columns[place]] = cost_s
        return least_sum(cost)

    def _places(self, victim: Instance, most: int, taken: list[Move]) -> dict[Hashable, float]:
        """What each place would cost the victim beside those taken."""
        if not victim.load:
            return {("leave", victim.id): idle_cost_s(victim, self.view)}
        places: dict[Hashable, float] = {}
        for move in self._alone[victim.id]:
            if move.to is not None:
                used = sum(w.requests for w in taken if w.to is move.to)
                left = min(most, (move.to.slots - move.to.load - used) // move.requests)
                places |= {("ready", move.to.id, k): move.cost_s for k in range(left)}
            else:
                for given in itertools.islice(self._given(victim, move, taken), 1):
                    left = min(most, self._room(move.node, taken))
                    places |= {(move.node, k): given.cost_s + k * move.load_s for k in range(left)}
        return places

    def _room(self, node: NodeId, taken: list[Move]) -> int:
        """At most so many more loads on a node: one a free card, if all take whole cards."""
        if self.parts:
            return self.most
        used = {g for w in taken if w.shard and w.node == node for g in w.shard.gpus}
        spec = self.view.node(node)
        cards = self.view.nodes.free_bytes[node]
        return sum(b == spec.gpu_bytes and g not in used for g, b in enumerate(cards))

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
        fits = self._fits.get(victim.model.need)
        if fits is None:
            fits = self._fits[victim.model.need] = view.nodes.fits(victim.model.need)
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


def start_s(move: Move, taken: Sequence[Way]) -> float:
    """Seconds until the target has the model: its queue, the loads just put on it, its own."""
    if move.to is not None:
        return 0.0
    loads_s = sum(
        w.load_s for w in taken if isinstance(w, Move) and w.shard and w.node == move.node
    )
    return move.wait_s + loads_s + move.load_s
