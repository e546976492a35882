"""A whole run as a Chrome trace: the fleet's tracks, the requests, and counters of both.

Reads a journal's entries in order and keeps what is open, so a run may be of any length.
"""

from collections.abc import Iterable

from fleet import events as e
from fleet.journal import Entry, Header
from traces.asked.chrome_trace import ChromeTrace
from traces.asked.exported_fleet import ExportedFleet
from traces.asked.exported_requests import ExportedRequests

#: Counters are written no closer than this, seconds.
COUNTER_STEP_S = 0.05


class ExportedRun:
    def __init__(self, trace: ChromeTrace, header: Header) -> None:
        setup = header.setup
        self._trace = trace
        self._cluster = trace.process("cluster")
        self.fleet = ExportedFleet(trace, setup.nodes, (*setup.models, *setup.adapters))
        self.requests = ExportedRequests(trace, self.fleet)
        self._counted: dict[str, float] = {}
        self._counted_at = trace.since - COUNTER_STEP_S
        self._last_at = 0.0

    def read(self, entries: Iterable[Entry]) -> float:
        """To the journal's end or the window's; when that was, seconds of the run."""
        until = self._trace.until
        for entry in entries:
            at = entry.event.at
            if at > until:
                self._last_at = until
                break
            self._see(entry)
            self._last_at = at
            if at - self._counted_at >= COUNTER_STEP_S:
                self._count(at)
        self._count(self._last_at)
        self.requests.finish(self._last_at)
        self.fleet.finish(self._last_at)
        return self._last_at

    def _see(self, entry: Entry) -> None:
        """Requests leave instances before the fleet forgets them, and come to them after."""
        event, kind, at = entry.event, type(entry.event), entry.event.at
        if isinstance(event, e.NodeLost):
            self.requests.node_lost(event)
        if isinstance(event, e.InstanceLost):
            self.requests.on_event[kind](event)
        for listener in (self.fleet.on_event, self.requests.on_event):
            if kind in listener:
                listener[kind](event)
        for command in entry.commands:
            for teller in (self.fleet.on_command, self.requests.on_command):
                if type(command) in teller:
                    teller[type(command)](command, at)

    def _count(self, at: float) -> None:
        values = {
            "requests waiting": self.requests.waiting,
            "requests running": self.requests.running,
            "GPUs free": self.fleet.free_gpus,
            "bytes loading": self.fleet.loading_bytes,
        }
        for name, value in values.items():
            if self._counted.get(name) != value and at >= self._trace.since:
                self._trace.counter(self._cluster, name, at, value)
                self._counted[name] = value
        self._counted_at = at
