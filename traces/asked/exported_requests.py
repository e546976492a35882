"""Requests of a run as asynchronous slices of a Chrome trace, with arrows to their instances.

A request is written when it ends: in all, and within it what it waited for and what the engine did.
Knows when instances became ready, nothing else of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fleet import commands as c
from fleet import events as e
from fleet.domain import Request
from traces.asked.chrome_trace import ChromeTrace, Track
from traces.asked.exported_fleet import ExportedFleet
from traces.asked.track_lanes import TrackLanes
from traces.asked.waiting import Span, Wait, parted

#: What the engine's steps are called in a trace.
STEPS: Final = {
    Wait.ENGINE: "in the engine's queue",
    Wait.PREFILL: "prefill",
    Wait.RUNNING: "decode",
    Wait.LOST: "lost work",
}


@dataclass(slots=True)
class _Shown:
    """A request on its way: finished pieces of waiting, stays on instances, and the open one."""

    request: Request
    since: float
    waits: list[tuple[str, float, float]] = field(default_factory=list)
    stays: list[Span] = field(default_factory=list)
    instance: int | None = None


@dataclass(frozen=True, slots=True)
class _Move:
    """A live migration under way, on a track that is its own meanwhile."""

    command: c.Migrate
    lanes: TrackLanes
    lane: int
    track: Track
    began_at: float


class ExportedRequests:
    def __init__(self, trace: ChromeTrace, fleet: ExportedFleet) -> None:
        self._trace = trace
        self._fleet = fleet
        self._pid = trace.process("requests")
        self._marks: dict[int, Track] = {}
        self._live: dict[int, _Shown] = {}
        self._attached: dict[tuple[int, int], tuple[float, float]] = {}  # began and done
        self._attaching: dict[int, tuple[int, int, float]] = {}
        self._moving: dict[int, _Move] = {}  # by request
        self._flows = 0
        self.running = 0
        self.on_event: Final[dict[type[e.Event], Callable[[Any], None]]] = {
            e.RequestArrived: self._arrived,
            e.RequestFinished: self._finished,
            e.RequestFailed: lambda event: self._over(event.request, event.at, event.reason),
            e.Preempted: lambda event: self._off(event.request, event.at),
            e.Migrated: self._migrated,
            e.AdapterAttached: self._adapter_attached,
            e.InstanceLost: lambda event: self._all_off({event.instance}, event.at),
            e.CommandFailed: self._move_failed,
        }
        self.on_command: Final[dict[type[c.Command], Callable[[Any, float], None]]] = {
            c.Dispatch: self._dispatch,
            c.Reject: lambda command, at: self._over(command.request, at, command.reason),
            c.Preempt: self._preempt,
            c.Migrate: self._migrate,
            c.AttachAdapter: self._attach,
        }

    @property
    def waiting(self) -> int:
        return len(self._live) - self.running

    def node_lost(self, event: e.NodeLost) -> None:
        """Before the fleet forgets who was there."""
        there = {
            number
            for number, known in self._fleet.instances.items()
            if any(shard.node == event.node for shard in known.shards)
        }
        self._all_off(there, event.at)

    def finish(self, at: float) -> None:
        """What is still there is shown up to here."""
        for number in list(self._live):
            self._over(number, at, "the trace ends")

    # Waiting

    def _arrived(self, event: e.RequestArrived) -> None:
        request = event.request
        self._live[request.id] = _Shown(request, request.arrived_at)

    def _dispatch(self, command: c.Dispatch, at: float) -> None:
        one = self._live.get(command.request)
        if one is None:
            return
        one.waits += self._pieces(one, command.instance, at)
        one.instance, one.since = command.instance, at
        self.running += 1
        self._fleet.runs(command.instance, 1, at)
        self._arrow(one.request, command.instance, at)

    def _pieces(self, one: _Shown, instance: int, at: float) -> list[tuple[str, float, float]]:
        """Its wait until now: queued, the load of the instance, the attach of its adapter."""
        pieces, since = [], one.since
        known = self._fleet.instances.get(instance)
        ways: list[tuple[str, float, float]] = []
        if known is not None and known.loaded_at is not None:
            ways.append(("waits for the load", known.began_at, known.loaded_at))
        adapter = one.request.adapter
        attached = None if adapter is None else self._attached.get((instance, adapter))
        if attached is not None:
            ways.append(("waits for its adapter", *attached))
        for name, way_begin, way_end in ways:
            begin, end = max(way_begin, since), min(way_end, at)
            if end > begin:
                pieces += [("queued", since, begin), (name, begin, end)]
                since = end
        return [*pieces, ("queued", since, at)]

    def _arrow(self, request: Request, instance: int, at: float) -> None:
        """From the request to the card of the instance that takes it."""
        track = self._fleet.track_of(instance)
        model = int(request.model)
        marks = self._marks.get(model)
        if marks is None:
            name = f"sent to {self._fleet.name_of(model)}"
            marks = self._marks[model] = self._trace.track(self._pid, name)
        self._flows += 1
        self._trace.sent("dispatch", self._flows, f"request {request.id}", (marks, track), at)

    # Off an instance

    def _off(self, request: int, at: float) -> None:
        """It waits again, and moves no more."""
        self._no_move(request)
        one = self._live.get(request)
        if one is None or one.instance is None:
            return
        one.stays.append(Span(one.since, at, Wait.RUNNING, one.instance))
        self._fleet.runs(one.instance, -1, at)
        self.running -= 1
        one.instance, one.since = None, at

    def _all_off(self, instances: set[int], at: float) -> None:
        for number, one in self._live.items():
            if one.instance in instances:
                self._off(number, at)

    def _preempt(self, command: c.Preempt, at: float) -> None:
        one = self._live.get(command.request)
        if one is not None and one.instance is not None:
            self._fleet.drains(one.instance, at)

    def _migrate(self, command: c.Migrate, at: float) -> None:
        lanes = self._fleet.leaving(command.source)
        if lanes is not None:
            self._moving[command.request] = _Move(command, lanes, *lanes.take(), at)
        self._fleet.drains(command.source, at)

    def _migrated(self, event: e.Migrated) -> None:
        move = self._no_move(event.request)
        one = self._live.get(event.request)
        if move is None or one is None or one.instance is None:
            return
        source, target = one.instance, move.command.target
        here = self._fleet.coming(target)
        if here is not None:
            self._flows += 1
            name = f"request {event.request}: instance {source} to {target}"
            span = move.began_at, event.at
            self._trace.moved("migration", self._flows, name, (move.track, here), span)
        one.stays.append(Span(one.since, event.at, Wait.RUNNING, source))
        self._fleet.runs(target, 1, event.at)
        self._fleet.runs(source, -1, event.at)
        one.instance, one.since = target, event.at

    def _move_failed(self, event: e.CommandFailed) -> None:
        for request, move in list(self._moving.items()):
            if move.command.id == event.command:
                self._no_move(request)

    def _no_move(self, request: int) -> _Move | None:
        """It moves no more: its track is free for others."""
        move = self._moving.pop(request, None)
        if move is not None:
            move.lanes.give(move.lane)
        return move

    def _attach(self, command: c.AttachAdapter, at: float) -> None:
        self._attaching[command.id] = command.instance, command.adapter, at

    def _adapter_attached(self, event: e.AdapterAttached) -> None:
        began = self._attaching.pop(event.command, None)
        if began is not None:
            self._attached[event.instance, event.adapter] = began[2], event.at

    # The end

    def _finished(self, event: e.RequestFinished) -> None:
        one = self._live.get(event.request)
        if one is not None:
            self._off(event.request, event.at)
            steps = [
                (STEPS[step.wait], step.begin, min(step.end, event.ended_at))
                for stay in one.stays
                for step in parted(stay, event.scheduled_at, event.first_token_at)
            ]
            self._show(one, event.ended_at, steps, {"tokens": event.tokens})

    def _over(self, request: int, at: float, reason: str) -> None:
        one = self._live.get(request)
        if one is None:
            return
        if one.instance is None:
            one.waits.append(("queued", one.since, at))
        self._off(request, at)
        steps = [("on an instance", stay.begin, stay.end) for stay in one.stays]
        self._show(one, at, steps, {"ended": reason})

    def _show(
        self,
        one: _Shown,
        ended_at: float,
        steps: list[tuple[str, float, float]],
        args: dict[str, Any],
    ) -> None:
        request = one.request
        name = self._fleet.name_of(request.model)
        about = {"request": request.id, "prompt_tokens": request.prompt_tokens, **args}
        if request.adapter is not None:
            about["adapter"] = self._fleet.name_of(request.adapter)
        show, pid = self._trace.lasting, self._pid
        show(pid, request.id, name, (request.arrived_at, ended_at), about)
        for piece, begin, end in sorted([*one.waits, *steps], key=lambda one: one[1]):
            show(pid, request.id, piece, (begin, end))
        del self._live[request.id]
