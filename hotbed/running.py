"""One run: a bound scenario and a policy in, its record and summary out.

It knows how to watch a run and when it may be stopped. It prints nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet import journal
from fleet.commands import Command
from fleet.controller import Controller
from fleet.events import Event
from hotbed.binding import Bound
from hotbed.garbage import collected_rarely
from hotbed.held import held_of
from hotbed.interrupts import Stopped
from hotbed.journals import Write
from hotbed.oracles import told_the_future
from policies import catalog
from sim.calendar import Arrival
from sim.cluster import Cluster
from traces.collector import Recorder
from traces.metrics import summarise
from traces.record import RunRecord
from traces.summary import Summary

#: Told every so often: how many requests have arrived, and the run's time in seconds. May raise
#: `Stopped`.
Tick = Callable[[int, float], None]

EVENTS_A_TICK = 512


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run came to. `partial`: it was stopped before its end."""

    record: RunRecord
    summary: Summary
    events: int
    partial: bool


def run(
    bound: Bound,
    policy: Mapping[str, Any],
    tick: Tick,
    write: Write | None = None,
    world: Mapping[str, Any] | None = None,
) -> Finished:
    """Run to the end, or until `tick` raises `Stopped`.

    The lines of a journal go to `write`; `world` is what its header says of the driver. Raises
    PolicyError before anything has run.
    """
    built = catalog.build(policy)
    told_the_future(built, lambda: [arrival.request for arrival in bound.arrivals()])
    controller = Controller(bound.setup, built)
    recorder = Recorder(bound.setup.nodes, (*bound.setup.models, *bound.setup.adapters))
    watch = _Watch(recorder, tick, write)
    if write is not None:
        told = dict(world or {})
        header = journal.Header(bound.setup, catalog.resolve(policy), bound.tenants, told)
        write(journal.encode_header(header))
    cluster = Cluster(controller, bound.world, watch.observe)
    partial = False
    try:
        with collected_rarely():
            cluster.run(watch.counted(bound.arrivals()), bound.scenario.until)
    except Stopped:
        partial = True
        controller.state.settle_accounts()
    record = recorder.record()
    held = held_of(controller.state)
    summary = summarise(record, bound.slo, held, bound.slo_of_model)
    return Finished(record, summary, watch.events, partial)


class _Watch:
    """Sees every event: for the record, for the journal, and now and then for who waits."""

    def __init__(self, recorder: Recorder, tick: Tick, write: Write | None) -> None:
        self.events = 0
        self.arrived = 0
        self._record = recorder.observe
        self._tick = tick
        self._write = write

    def observe(self, event: Event, commands: Sequence[Command]) -> None:
        self._record(event, commands)
        if self._write is not None:
            self._write(journal.encode(event, commands))
        self.events += 1
        if not self.events % EVENTS_A_TICK:
            self._tick(self.arrived, event.at)

    def counted(self, arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
        for arrival in arrivals:
            self.arrived += 1
            yield arrival
