"""Policies that are watched: their answers are passed on as they are, and noted with the question.

A replay of a journal with a watched policy gives the same commands, because nothing is asked that
would not have been asked, and nothing is drawn. Knows what is in focus, not why.
"""

from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from fleet.domain import ModelId, ModelSpec, NodeId, Request
from fleet.holders import Instance
from fleet.needs import Need
from fleet.plans import Plan
from fleet.policy import (
    FULL,
    Admission,
    Clearing,
    Placed,
    Placement,
    Policy,
    Refuse,
    Room,
    Routing,
)
from fleet.pools import Stay
from fleet.view import View
from traces.asked import placement_picture as picture

#: Ready instances that a routing question names.
MOST_READY: Final = 8


class Ready(msgspec.Struct, frozen=True):
    """A ready instance when a request looked for one. `adapter`: attached, coming, absent or ""."""

    instance: int
    node: str
    load: int
    slots: int
    adapter: str = ""


class Routed(msgspec.Struct, frozen=True):
    """Where a request was sent, or why not.

    The picture is of the first of `times` in a row with this outcome; the last is `until`.
    """

    at: float
    until: float
    times: int
    policy: str
    outcome: str  # sent, attach, no_instance, no_slot or held_back
    instance: int | None
    ready: tuple[Ready, ...]
    more: int


class Refused(msgspec.Struct, frozen=True):
    at: float
    policy: str
    reason: str


class Log:
    """What was asked about some models and requests, in order.

    Whoever replays sets `line`, the journal's, and `active`, whether a request in focus is there:
    without one only placements that start something are noted.
    """

    def __init__(self, models: frozenset[ModelId], requests: frozenset[int]) -> None:
        self.models = models
        self.requests = requests
        self.line = 0
        self.active = False
        self.placements: list[picture.Placement] = []
        self.plans: list[Plan | None] = []  # of each placement
        self.routed: dict[int, list[Routed]] = {}
        self.refused: dict[int, Refused] = {}

    def note_placement(self, found: picture.Placement, plan: Plan | None) -> None:
        """The same no again is counted; the first picture stays."""
        last = self.placements[-1] if self.placements else None
        if plan is not None or last is None or (last.answer, last.model) != _kind(found):
            self.placements.append(found)
            self.plans.append(plan)
        else:
            again = msgspec.structs.replace(last, until=found.at, times=last.times + 1)
            self.placements[-1] = again

    def note_route(self, request: int, found: Routed) -> None:
        """The same outcome again is counted; the first picture stays."""
        own = self.routed.setdefault(request, [])
        last = own[-1] if own else None
        if last is not None and (last.outcome, last.instance) == (found.outcome, found.instance):
            own[-1] = msgspec.structs.replace(last, until=found.at, times=last.times + 1)
        else:
            own.append(found)


def _kind(one: picture.Placement) -> tuple[str, str]:
    return one.answer, one.model


def watched(policy: Policy, log: Log) -> Policy:
    """The same policy, with what it answers about those in focus noted in the log."""
    return replace(
        policy,
        admission=WatchedAdmission(policy.admission, log),
        routing=WatchedRouting(policy.routing, log),
        placement=WatchedPlacement(policy.placement, log),
    )


@dataclass(frozen=True)
class WatchedAdmission:
    asked: Admission
    log: Log

    def admit(self, request: Request, view: View) -> Refuse | None:
        refusal = self.asked.admit(request, view)
        if refusal is not None and request.id in self.log.requests:
            found = Refused(view.now, type(self.asked).__name__, refusal.reason)
            self.log.refused[request.id] = found
        return refusal


@dataclass(frozen=True)
class WatchedRouting:
    asked: Routing
    log: Log

    def route(self, request: Request, view: View) -> Instance | None:
        instance = self.asked.route(request, view)
        if request.id in self.log.requests:
            found = _routed(request, instance, view, type(self.asked).__name__)
            self.log.note_route(request.id, found)
        return instance


def _routed(request: Request, instance: Instance | None, view: View, policy: str) -> Routed:
    ready = view.ready(request.model)
    named = [_ready(one, request, view) for one, _ in zip(ready, range(MOST_READY), strict=False)]
    if instance is not None:
        has = request.adapter is None or instance.has(request.adapter)
        outcome = "sent" if has else "attach"
    elif not len(ready):
        outcome = "no_instance"
    else:
        outcome = "held_back" if ready.has_slot() else "no_slot"
    chosen = None if instance is None else int(instance.id)
    more = len(ready) - len(named)
    return Routed(view.now, view.now, 1, policy, outcome, chosen, tuple(named), more)


def _ready(instance: Instance, request: Request, view: View) -> Ready:
    adapter = ""
    if request.adapter is not None:
        entry = instance.adapters.entries.get(request.adapter)
        stays = {Stay.COMING: "coming", Stay.HERE: "attached", Stay.GOING: "leaving"}
        adapter = "absent" if entry is None else stays[entry.stay]
    node = view.node(instance.node).name
    return Ready(instance.id, node, instance.load, instance.slots, adapter)


@dataclass(frozen=True)
class WatchedPlacement:
    asked: Placement
    log: Log

    def place(self, need: Need, view: View, room: Room) -> Placed:
        if need.model.id not in self.log.models:
            return self.asked.place(need, view, room)
        clearings: dict[NodeId, Clearing | None] = {}
        placed = self.asked.place(need, view, WatchedRoom(room, need.model, clearings))
        plan = None if placed is FULL else placed
        if plan is None and not self.log.active:
            return placed
        chosen = frozenset[int]() if plan is None else picture.nodes_of(plan, view)
        candidates, more = picture.candidates_of(need, view, clearings, chosen)
        found = picture.Placement(
            at=view.now,
            until=view.now,
            times=1,
            line=self.log.line,
            policy=type(self.asked).__name__,
            model=need.model.name,
            waiting=need.queued,
            answer=_answer(placed),
            candidates=candidates,
            more=more,
            ready_at=None if plan is None else plan.ready_at,
            victims=() if plan is None else picture.victims_of(plan, view),
        )
        self.log.note_placement(found, plan)
        return placed


def _answer(placed: Placed) -> str:
    if placed is None:
        return "no"
    if placed is FULL:
        return "full"
    kinds = {type(command).__name__ for command in picture.starts_of(placed)}
    return "wake" if kinds == {"Wake"} else "start"


@dataclass(frozen=True)
class WatchedRoom:
    """Passes questions about one model on; notes how each node could be cleared for it."""

    asked: Room
    model: ModelSpec
    clearings: dict[NodeId, Clearing | None]

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return self.asked.reach(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        clearing = self.asked.make(node, model, view)
        if model.id == self.model.id:
            self.clearings[node] = clearing
        return clearing
