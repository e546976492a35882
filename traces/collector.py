"""Turns a run's events and commands, in order, into a `RunRecord`.

A driver calls `Recorder.observe` as it goes, or `record_of` reads the same pairs from a journal:
one code for both. It takes part in no decision and computes no metric. Hot facts (arrival,
dispatch, finish) wait in small lists and become numpy columns a few thousand at a time: about
1 us of CPU and 110 bytes a request.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from fleet import commands as c
from fleet import events as e
from fleet.domain import AdapterSpec, ModelSpec, NodeSpec, Request
from traces.columns import CHUNK, Columns, RowIndex, Rows
from traces.fleetlog import FleetLog
from traces.outcomes import END, EndKind, Seen, requests_of
from traces.record import MoveEnd, RunRecord

#: A `Reject` or `Cancel` whose reason begins so ends a request that waited or ran too long.
TIMED_OUT_REASON: Final = "timeout"

_ONE_ID: Final = np.dtype([("request", "i8")])


def record_of(
    journal: Iterable[tuple[e.Event, Sequence[c.Command]]],
    nodes: Iterable[NodeSpec] = (),
    artifacts: Iterable[ModelSpec | AdapterSpec] = (),
) -> RunRecord:
    """The record of a whole journal. `nodes` and `artifacts` are those present at time 0."""
    recorder = Recorder(nodes, artifacts)
    for event, commands in journal:
        recorder.observe(event, commands)
    return recorder.record()


class Recorder:
    """Watches a run. Ids it has not seen arrive (a journal begun in the middle) are left out."""

    def __init__(
        self, nodes: Iterable[NodeSpec] = (), artifacts: Iterable[ModelSpec | AdapterSpec] = ()
    ) -> None:
        self._events: list[e.Event] = []
        self._commands: list[Sequence[c.Command]] = []
        # Bound once: every event passes here.
        self._note_event = self._events.append
        self._note_commands = self._commands.append
        self._requests = Columns("i8", "i4", "i4", "i4", "i4", "i4", "f8")
        self._sent = Columns("i8", "i4", "f8")
        self._done = Columns("i8", "f8", "f8", "f8", "i4", "i4", "f8")
        self._gaps = 0
        self._ends = Rows(END)
        self._preempted = Rows(_ONE_ID)
        self._fleet = FleetLog(nodes, artifacts)
        self._last_at = 0.0
        self._flushed = 0
        self._event_sinks: dict[type[e.Event], Callable[[Any], None]] = {
            e.RequestFailed: self._on_failed,
            e.RequestAbandoned: self._on_abandoned,
            e.Preempted: self._on_preempted,
            **self._fleet.event_sinks,
        }
        self._command_sinks: dict[type[c.Command], Callable[[Any, float], None]] = {
            c.Reject: self._on_reject,
            c.Cancel: self._on_cancel,
            **self._fleet.command_sinks,
        }

    def observe(self, event: e.Event, commands: Sequence[c.Command]) -> None:
        """One event and the commands it caused, in the order they were given.

        The commands are read later: their sequence must not be changed after this.
        """
        self._note_event(event)
        self._note_commands(commands)
        if len(self._events) >= CHUNK:
            self._flush()

    def record(self) -> RunRecord:
        """What has been seen so far; the run ended at the last event's time."""
        self._flush()
        fleet = self._fleet
        attaches = fleet.attaches.array()
        requests = requests_of(self._seen(), fleet.loads, attaches)
        return RunRecord(
            requests=requests,
            loads=tuple(fleet.loads),
            attaches=attaches,
            attaches_failed=fleet.attaches_failed,
            moves=fleet.all_moves(RowIndex(requests.id), requests.ended_at),
            copies=fleet.copies,
            gaps=self._gaps,
            phase_s=fleet.phase_s,
            nodes=fleet.nodes,
            nodes_seen_s=fleet.nodes_seen_s(self._last_at),
            models=fleet.models,
            adapters=fleet.adapters,
            ended_at=self._last_at,
        )

    def _seen(self) -> Seen:
        moves = self._fleet.moves.array()
        return Seen(
            arrived=self._requests.arrays(),
            sent=self._sent.arrays(),
            done=self._done.arrays(),
            ends=self._ends.array(),
            preempted=self._preempted.array()["request"],
            moved=moves["request"][moves["outcome"] == MoveEnd.MOVED],
        )

    @property
    def events(self) -> int:
        """How many were observed."""
        return self._flushed + len(self._events)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns kept so far, without the few thousand objects still waiting."""
        columns = (self._requests, self._sent, self._done)
        return sum(kept.nbytes for kept in (*columns, self._ends, self._preempted))

    def _flush(self) -> None:
        """Sort what waits by kind, in order, and make columns of it."""
        events, commands = self._events, self._commands
        if not events:
            return
        self._last_at = events[-1].at
        self._flushed += len(events)
        self._keep_arrived([one.request for one in events if type(one) is e.RequestArrived])
        self._keep_finished([one for one in events if type(one) is e.RequestFinished])
        self._keep_sent(
            [
                (command, event.at)
                for event, given in zip(events, commands, strict=True)
                for command in given
                if type(command) is c.Dispatch
            ]
        )
        self._keep_rare()
        events.clear()
        commands.clear()

    def _keep_rare(self) -> None:
        """Everything else, event by event, each with its commands after it."""
        sinks, command_sinks = self._event_sinks, self._command_sinks
        for event, commands in zip(self._events, self._commands, strict=True):
            sink = sinks.get(type(event))
            if sink is not None:
                sink(event)
            for command in commands:
                command_sink = command_sinks.get(type(command))
                if command_sink is not None:
                    command_sink(command, event.at)

    def _keep_arrived(self, arrived: list[Request]) -> None:
        self._requests.extend(
            [request.id for request in arrived],
            [request.model for request in arrived],
            [-1 if request.adapter is None else request.adapter for request in arrived],
            [request.tenant for request in arrived],
            [request.prompt_tokens for request in arrived],
            [len(request.prefix) * request.block_tokens for request in arrived],
            [request.arrived_at for request in arrived],
        )

    def _keep_sent(self, sent: list[tuple[c.Dispatch, float]]) -> None:
        """Dispatches, each with its time."""
        self._sent.extend(
            [command.request for command, _ in sent],
            [command.instance for command, _ in sent],
            [at for _, at in sent],
        )

    def _keep_finished(self, finished: list[e.RequestFinished]) -> None:
        self._done.extend(
            [event.request for event in finished],
            [event.scheduled_at for event in finished],
            [event.first_token_at for event in finished],
            [event.ended_at for event in finished],
            [event.tokens for event in finished],
            [event.cached_tokens for event in finished],
            [event.longest_gap_s for event in finished],
        )
        self._gaps += sum([event.gaps for event in finished])

    def _on_preempted(self, event: e.Preempted) -> None:
        self._preempted.add((event.request,))

    def _on_failed(self, event: e.RequestFailed) -> None:
        self._ends.add((event.request, event.at, EndKind.FAILED))

    def _on_abandoned(self, event: e.RequestAbandoned) -> None:
        self._ends.add((event.request, event.at, EndKind.ABANDONED))

    def _on_reject(self, command: c.Reject, at: float) -> None:
        kind = EndKind.TIMED_OUT if _too_late(command) else EndKind.REJECTED
        self._ends.add((command.request, at, kind))

    def _on_cancel(self, command: c.Cancel, at: float) -> None:
        kind = EndKind.TIMED_OUT if _too_late(command) else EndKind.CANCELLED
        self._ends.add((command.request, at, kind))


def _too_late(command: c.Reject | c.Cancel) -> bool:
    """A deadline is no limit: who is refused after it was refused, not timed out."""
    return command.reason.startswith(TIMED_OUT_REASON)
