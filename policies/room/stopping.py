"""How to make room on a node: stop idle instances, preempt, or migrate running requests away.

Each answers with the cheapest clearing it can find there, or None. Which node is cleared, and
whether that beats waiting, is for the placement to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.commands import Command, Keep, Preempt, StopInstance
from fleet.domain import ModelSpec, NodeId, Part
from fleet.holders import Instance
from fleet.plans import UNNUMBERED, Step, Steps
from fleet.policy import Clearing, Room
from fleet.view import View
from policies.room.clearing import (
    Leave,
    cheapest,
    clearable,
    clearing,
    idle_cost_s,
    reload_s,
    stop_s,
    whole_cards,
)
from policies.room.migration import MigrateVictims, cheapest_moves
from policies.room.victims import Found


@dataclass(frozen=True)
class NoRoom:
    """Never take anything from anybody."""

    source: ClassVar[str] = "none: availability-driven, as FaaS platforms place"

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return np.zeros(len(view.nodes), np.bool_)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        return None


@dataclass(frozen=True)
class EvictIdle:
    """Stop instances without work: the set least likely to be missed that frees enough.

    Its clearing is over `stop_s` seconds from now. Costs: `clearing.idle_cost_s`.
    """

    source: ClassVar[str] = (
        "ServerlessLLM, OSDI'24: idle instances are stopped when their cards are needed"
    )
    departs: ClassVar[str] = "The set is the one least likely to be missed, not any."

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        idle = view.nodes.idle_gpus
        if isinstance(model.need, Part):
            reach: npt.NDArray[np.bool_] = idle > 0
        else:
            reach = (idle > 0) & (view.nodes.free_gpus + idle >= model.need.gpus)
        return reach

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        if not view.nodes.idle_gpus[node] and view.nodes.pick(node, model.need) is None:
            return None  # asked often on a full fleet
        idle = [i for i in clearable(node, model, view) if not i.load]
        ways = {i.id: Leave(idle_cost_s(i, view)) for i in idle}
        found = cheapest(node, model, ways, view)
        if found is None:
            return None
        steps: list[Step[Command]] = [Step(StopInstance(UNNUMBERED, v.id)) for v, _ in found]
        return clearing(node, found, Steps(tuple(steps), view.now + stop_s(node, view)), view)


@dataclass(frozen=True)
class PreemptVictims:
    """Stop instances in the middle of their requests, which keep their tokens and wait again.

    SHEPHERD (NSDI'23) preempts a running batch for one at least `ratio` = 3.03 times its size:
    here the newcomer's queue against the requests that would be pushed off. 0 preempts whenever
    the newcomer starts earlier for it, which thrashes on a full fleet. A request is pushed off at
    most `most_preemptions` times, so that two models cannot push each other for ever. Costs, in
    seconds: the victim's load to come back, and the recomputation of its requests' KV cache.
    """

    source: ClassVar[str] = "SHEPHERD, NSDI'23: FLEX, lambda 3.03"
    departs: ClassVar[str] = (
        "Batches are counted in requests, and one request is pushed off a bounded number of times."
    )

    ratio: Annotated[float, Meta(ge=0)] = 3.03
    most_preemptions: Annotated[int, Meta(ge=0)] = 2

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        limit = self.most_preemptions
        victims = [i for i in clearable(node, model, view) if preemptible(i, limit)]
        ways = {i.id: Leave(self._cost_s(i, view)) for i in victims}
        found = cheapest(node, model, ways, view)
        if found is None:
            return None
        pushed = sum(victim.load for victim, _ in found)
        if view.queued(model.id) < self.ratio * pushed:
            return None
        return preempting(node, found, view)

    def _cost_s(self, victim: Instance, view: View) -> float:
        if not victim.load:
            return idle_cost_s(victim, view)
        again_s = reload_s(victim, view)
        return again_s + sum(view.resume_s(f, victim.node) for f in victim.running.values())


@dataclass(frozen=True)
class PreemptMovable:
    """Preempt the victims that `MigrateVictims` would move, where it would move them.

    Shepherd* of ServerlessLLM's evaluation (OSDI'24, section 7): the same choice of server and the
    same estimates, but the victims' requests stop at once and load again elsewhere. So the two
    differ in live migration alone. SHEPHERD's own rule is `PreemptVictims`.
    """

    source: ClassVar[str] = "ServerlessLLM, OSDI'24, section 7: Shepherd*"

    most_preemptions: Annotated[int, Meta(ge=0)] = 2

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        found = cheapest_moves(node, model, view)
        if found is None:
            return None
        if not all(preemptible(victim, self.most_preemptions) for victim, _ in found):
            return None
        return preempting(node, found, view)


def preemptible(victim: Instance, most_preemptions: int) -> bool:
    """Nothing else is asked of its requests, and none was pushed off too often.

    Each dispatch but the first followed a preemption or a failure; both count.
    """
    return all(
        not f.told and f.move is None and f.attempts <= most_preemptions
        for f in victim.running.values()
    )


def preempting(node: NodeId, found: Found, view: View) -> Clearing:
    """Push every request off each victim, then stop it: over as soon as an engine can stop."""
    steps: list[Step[Command]] = []
    for victim, _ in found:
        first = len(steps)
        steps += [Step(Preempt(UNNUMBERED, r, Keep.TOKENS)) for r in victim.running]
        after = tuple(range(first, len(steps)))
        steps.append(Step(StopInstance(UNNUMBERED, victim.id), after))
    return clearing(node, found, Steps(tuple(steps), view.now + stop_s(node, view)), view)


@dataclass(frozen=True)
class CheapestRoom:
    """Ask several, take the clearing that costs others least; the first of equals."""

    source: ClassVar[str] = (
        "ServerlessLLM, OSDI'24, section 5: the start-up time with and without a migration"
    )

    rooms: tuple[Room, ...] = (EvictIdle(), MigrateVictims())

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        reach = np.zeros(len(view.nodes), np.bool_)
        for room in self.rooms:
            reach |= room.reach(model, view)
        return reach

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        found = list(self._clearings(node, model, view))
        return min(found, key=lambda c: c.cost_s, default=None)

    def _clearings(self, node: NodeId, model: ModelSpec, view: View) -> Iterator[Clearing]:
        for room in self.rooms:
            clearing = room.make(node, model, view)
            if clearing is not None:
                yield clearing
