"""Making room by live migration: victims, and targets for what runs on them, chosen together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from fleet.commands import By, Command, Migrate, StartInstance, StopInstance
from fleet.domain import InstanceId, ModelSpec, NodeId, Part, Tier
from fleet.holders import Instance
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import Clearing
from fleet.view import View
from policies.room.clearing import clearable, clearing, stop_s, whole_cards
from policies.room.targets import Move, Targets
from policies.room.victims import Found, Search, Way


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

    source: ClassVar[str] = "ServerlessLLM, OSDI'24, sections 5.1 to 5.3; Llumnix, OSDI'24, for KV"
    departs: ClassVar[str] = (
        "Victims and targets are searched for exactly, together; the paper's dynamic programme "
        "takes the nearest target for each victim in turn."
    )

    by: Literal["tokens", "kv"] = "tokens"

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        found = cheapest_moves(node, model, view)
        return None if found is None else moving(node, found, By(self.by), view)


def moving(node: NodeId, found: Found, by: By, view: View) -> Clearing:
    """Move what runs on each victim to its target, then stop it: over when the last has moved."""
    steps: list[Step[Command]] = []
    for victim, way in sorted(found, key=lambda f: -source_tier(f[0], f[1], view)):
        first = len(steps)
        if isinstance(way, Move):
            steps += _move(victim, way, (first, by), view)
        after = tuple(range(first, len(steps)))
        steps.append(Step(StopInstance(UNNUMBERED, victim.id), after))
    moved_at = view.now + moved_after_s([way for _, way in found])
    plan: Plan = Steps(tuple(steps), moved_at + stop_s(node, view))
    return clearing(node, found, plan, view)


def _move(victim: Instance, way: Move, at: tuple[int, By], view: View) -> Iterator[Step[Command]]:
    """The target's start, if it needs one, and a migration for each request; `at`: place, by."""
    first, by = at
    target, after = target_of(way, first)
    yield from start_of(victim, way, first, view)
    for request in victim.running:
        yield Step(Migrate(UNNUMBERED, request, victim.id, target, by), after)


def target_of(way: Move, first: int) -> tuple[InstanceId, tuple[int, ...]]:
    """The target's id, and the step to wait for if the plan starts it as its step `first`."""
    if way.shard is not None:
        return planned(first), (first,)
    assert way.to is not None, "a move has a target"
    return way.to.id, ()


def start_of(victim: Instance, way: Move, first: int, view: View) -> Iterator[Step[Command]]:
    """The start of the target, as step `first` of a plan; nothing if it is there."""
    if way.shard is not None:
        model = victim.model.id
        source = view.source(model, way.shard.node)
        yield Step(StartInstance(UNNUMBERED, planned(first), model, (way.shard,), (source,)))


def cheapest_moves(node: NodeId, model: ModelSpec, view: View) -> Found | None:
    """The victims and ways with the least sum of costs that free the model's share on the node."""
    victims = [i for i in clearable(node, model, view) if movable(i)]
    parts = any(isinstance(v.model.need, Part) for v in victims)
    targets = Targets(node, len(victims), view, parts)
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
    moves = [way for way in ways if isinstance(way, Move)]
    moves.sort(key=lambda w: (w.load_s, -w.resume_s))
    loading_s: dict[NodeId, float] = {}
    longest_s = 0.0
    for move in moves:
        loaded_s = 0.0
        if move.shard is not None:
            loaded_s = loading_s.get(move.node, move.wait_s) + move.load_s
            loading_s[move.node] = loaded_s
        longest_s = max(longest_s, loaded_s + move.resume_s)
    return longest_s


def source_tier(victim: Instance, way: Way | None, view: View) -> Tier:
    """Where its load reads from. The nearest first: the room that a load takes in a node's caches
    as a plan begins could else be that of a copy that a later load of the plan reads."""
    if isinstance(way, Move) and way.shard is not None:
        return view.source(victim.model.id, way.shard.node).tier
    return Tier.GPU
