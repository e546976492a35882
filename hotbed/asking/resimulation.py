"""A journal's requests in simulated worlds: its workload with true lengths, and one run of it.

It knows journals and the simulator, and whether running again gave the journal again. It compares
no policies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from fleet import events as e
from fleet import journal
from fleet.commands import Command
from fleet.controller import Controller, Setup
from fleet.domain import Request, RequestId
from fleet.journal import Entry, Header
from hotbed.binding import bind
from hotbed.garbage import collected_rarely
from hotbed.held import held_of
from hotbed.journals import reading
from hotbed.oracles import told_the_future
from hotbed.worlds import Known
from policies import catalog
from sim.calendar import Arrival
from sim.cluster import Cluster
from traces.collector import Recorder
from traces.metrics import summarise
from traces.record import RunRecord
from traces.summary import Summary

#: Believed output tokens of a model of which nothing was seen, as `fleet.estimates` has it.
UNSEEN_TOKENS = 128.0
EVENTS_A_TICK = 512

#: Told every so often how many requests have arrived, and the time in the run.
Tick = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Workload:
    """The requests of a journal, sorted, with their output lengths.

    The `guessed` ones never finished: their length is the mean of their model's. `sessions` are
    requests of a conversation, whose client waits for one answer before it asks again.
    `unmade` counts events that no simulated world makes, by kind.
    """

    arrivals: tuple[Arrival, ...]
    guessed: frozenset[RequestId]
    sessions: int
    unmade: Mapping[str, int]

    @property
    def unknown(self) -> int:
        return len(self.guessed)


@dataclass(frozen=True, slots=True)
class Side:
    """One policy in one world."""

    record: RunRecord
    summary: Summary


class Check(msgspec.Struct, frozen=True):
    """Whether running the base again gave the journal's own lines, and where it first did not.

    `ended`: the journal ends there and the run goes on, as after Ctrl-C.
    """

    same: bool
    events: int
    line: int | None = None
    at: float | None = None
    ended: bool = False

    def __str__(self) -> str:
        if self.same:
            return f"the base, run again, is the journal to the byte ({self.events:,} events)"
        if self.ended:
            return (
                f"the base, run again, is the journal up to its end in line {self.line:,}; the "
                "recorded run was stopped there, both sides go on"
            )
        return (
            f"the base, run again, departs from the journal in line {self.line:,} at "
            f"{self.at:,.3f} s: read the differences as between two simulated runs"
        )


def workload_of(entries: Iterable[Entry]) -> Workload:
    """Who arrived, and how long their answers were."""
    requests: list[Request] = []
    tokens: dict[RequestId, int] = {}
    unmade: dict[str, int] = {}
    for entry in entries:
        event = entry.event
        if type(event) is e.RequestArrived:
            requests.append(event.request)
        elif type(event) is e.RequestFinished:
            tokens[event.request] = event.tokens
        elif isinstance(event, e.ArtifactAdded | e.ArtifactRemoved | e.RequestAbandoned):
            name = type(event).__name__
            unmade[name] = unmade.get(name, 0) + 1
    means = _means(requests, tokens)
    arrivals = tuple(Arrival(one, tokens.get(one.id) or _believed(one, means)) for one in requests)
    sessions = sum(one.session is not None for one in requests)
    guessed = frozenset(one.id for one in requests) - tokens.keys()
    return Workload(arrivals, guessed, sessions, unmade)


def with_true_lengths(workload: Workload, known: Known, seed: int) -> Workload:
    """The lengths of requests that never finished, from the scenario's workload made again.

    Taken only if that workload agrees with every length the journal knows; else (its files are
    not here, or others) the means stay.
    """
    if not workload.unknown:
        return workload
    try:
        bound = bind(known.scenario, known.folder, seed)
        tokens = {one.request.id: one.output_tokens for one in bound.arrivals()}
    except (ValueError, OSError):  # what was recorded elsewhere need not be here
        return workload
    for one in workload.arrivals:
        if one.request.id not in workload.guessed and (
            tokens.get(one.request.id) != one.output_tokens
        ):
            return workload
    arrivals = tuple(
        Arrival(one.request, tokens.get(one.request.id, one.output_tokens))
        for one in workload.arrivals
    )
    missing = workload.guessed - tokens.keys()
    return replace(workload, arrivals=arrivals, guessed=missing)


def _means(requests: Sequence[Request], tokens: Mapping[RequestId, int]) -> dict[int, float]:
    """Mean output tokens by model, of those that finished; -1 has that of all."""
    sums: dict[int, list[int]] = {}
    for one in requests:
        known = tokens.get(one.id)
        for key in () if known is None else (int(one.model), -1):
            total = sums.setdefault(key, [0, 0])
            total[0] += known or 0
            total[1] += 1
    return {key: total / count for key, (total, count) in sums.items()}


def _believed(request: Request, means: Mapping[int, float]) -> int:
    mean = means.get(int(request.model), means.get(-1, UNSEEN_TOKENS))
    return max(1, min(round(mean), request.max_tokens))


def simulated(
    setup: Setup,
    policy: Any,
    known: Known,
    workload: Workload,
    tick: Tick,
    check: "Comparing | None" = None,
) -> Side:
    """One side in the world of the setup's seed."""
    built = catalog.build(policy)
    told_the_future(built, lambda: [arrival.request for arrival in workload.arrivals])
    controller = Controller(setup, built)
    recorder = Recorder(setup.nodes, (*setup.models, *setup.adapters))
    arrived = events = 0

    def counted() -> Iterator[Arrival]:
        nonlocal arrived
        for arrival in workload.arrivals:
            arrived += 1
            yield arrival

    def observe(event: e.Event, commands: list[Command]) -> None:
        nonlocal events
        recorder.observe(event, commands)
        if check is not None:
            check.see(event, commands)
        events += 1
        if not events % EVENTS_A_TICK:
            tick(arrived, event.at)

    with collected_rarely():
        Cluster(controller, known.seeded(setup.seed), observe).run(counted(), known.until)
    record = recorder.record()
    held = held_of(controller.state)
    return Side(record, summarise(record, known.slo, held, known.own_slo))


class Comparing:
    """Compares a run's lines with a journal's as they come."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines: Iterator[bytes] | None = lines
        self._line = 1
        self._found: Check | None = None

    def see(self, event: e.Event, commands: Sequence[Command]) -> None:
        if self._found is not None or self._lines is None:
            return
        self._line += 1
        recorded = next(self._lines, None)
        if recorded is None:
            self._found = Check(False, self._line - 2, self._line - 1, event.at, ended=True)
        elif recorded != journal.encode(event, commands):
            self._found = Check(False, self._line - 2, self._line, event.at)

    def verdict(self, ended_at: float) -> Check:
        """Once the run is over."""
        if self._found is not None:
            return self._found
        assert self._lines is not None, "a verdict is asked for once"
        if next(self._lines, None) is not None:
            return Check(False, self._line - 1, self._line + 1, ended_at)
        return Check(True, self._line - 1)


def base_again(
    path: Path, header: Header, known: Known, workload: Workload, tick: Tick
) -> tuple[Side, Check]:
    """The journal's own policy in its own world, and whether that gives the journal again."""
    with reading(path) as lines:
        next(lines)
        comparing = Comparing(lines)
        side = simulated(header.setup, header.policy, known, workload, tick, comparing)
        return side, comparing.verdict(side.record.ended_at)
