"""What a journal itself says of single requests: where they went, when they ended, in words.

Nothing is replayed here. Knows lines of a journal and names, no estimate and no policy.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from fleet import commands as c
from fleet import events as e
from fleet.domain import Place, Request
from fleet.journal import Entry
from fleet.state import State
from traces.metrics import ttft_s
from traces.numerals import number
from traces.record import RunRecord


class UnknownRequestError(ValueError):
    """No such request in the journal; says which there are."""


@dataclass(slots=True)
class Story:
    """One request: its instances in order of dispatch, its end, and the last line about it.

    `dispatched_at` says when it was sent to each of `dispatched_to`.
    """

    request: Request
    line: int
    last_line: int
    dispatched_to: list[int] = field(default_factory=list)
    dispatched_at: list[float] = field(default_factory=list)
    finished: e.RequestFinished | None = None
    over: bool = False


def stories_of(entries: Iterable[Entry], wanted: Iterable[int]) -> dict[int, Story]:
    """The stories of those requests, by id.

    Raises UnknownRequestError, which says what ids there are.
    """
    ids = frozenset(wanted)
    found: dict[int, Story] = {}
    lowest, highest, arrived = None, None, 0
    for line, entry in enumerate(entries, 2):
        event = entry.event
        if type(event) is e.RequestArrived:
            number = int(event.request.id)
            arrived += 1
            lowest = number if lowest is None else min(lowest, number)
            highest = number if highest is None else max(highest, number)
            if number in ids:
                found[number] = Story(event.request, line, line)
        if found:
            _note(entry, line, found)
    for number in sorted(ids - found.keys()):
        there = f"its {arrived:,} requests are {lowest} to {highest}" if arrived else "it has none"
        raise UnknownRequestError(f"request {number} is not in the journal: {there}")
    return found


def _note(entry: Entry, line: int, found: Mapping[int, Story]) -> None:
    event = entry.event
    own = found.get(getattr(event, "request", -1)) if not isinstance(
        event, e.RequestArrived) else None  # fmt: skip
    if own is not None:
        own.last_line = line
        if isinstance(event, e.RequestFinished):
            own.finished = event
        own.over = own.over or isinstance(event, e.RequestFinished | e.RequestFailed)
    for command in entry.commands:
        told = found.get(getattr(command, "request", -1))
        if told is None:
            continue
        told.last_line = line
        if isinstance(command, c.Dispatch):
            told.dispatched_to.append(int(command.instance))
            told.dispatched_at.append(event.at)
        told.over = told.over or isinstance(command, c.Reject)


def slowest(record: RunRecord, most: int, model: str | None = None) -> list[int]:
    """The finished requests with the longest time to the first token, the longest first.

    `model` is a model's name. Raises UnknownRequestError where there is none.
    """
    requests = record.requests
    chosen = requests.finished
    if model is not None:
        ids = [number for number, spec in record.models.items() if spec.name == model]
        if not ids:
            names = ", ".join(sorted(spec.name for spec in record.models.values())[:12])
            raise UnknownRequestError(f"--model {model!r} is none of the journal's: {names}")
        chosen = chosen & np.isin(requests.model, ids)
    if not chosen.any():
        of = "" if model is None else f" of model {model!r}"
        raise UnknownRequestError(f"no request{of} finished: name one by its number")
    waits = np.where(chosen, ttft_s(requests), -np.inf)
    order = np.argsort(-waits, kind="stable")[: min(most, int(np.count_nonzero(chosen)))]
    return [int(number) for number in requests.id[order]]


# In words


class Names:
    """Instances, nodes and artifacts as a person calls them, from the controller's picture."""

    def __init__(self, state: State) -> None:
        self._state = state

    def model(self, number: int) -> str:
        return self._state.serving[number].spec.name  # type: ignore[index]

    def adapter(self, number: int) -> str:
        spec = self._state.adapters.get(number)  # type: ignore[call-overload]
        return f"adapter {number}" if spec is None else spec.name

    def node(self, number: int) -> str:
        return self._state.nodes.specs[number].name

    def instance(self, number: int) -> str:
        """With its node, while it is there."""
        known = self._state.instances.get(number)  # type: ignore[call-overload]
        at = "" if known is None else f" on {self.node(known.node)}"
        return f"instance {number}{at}"

    def place(self, place: Place) -> str:
        if place.node is None:
            return "the remote store"
        return f"{place.tier.name} of {self.node(place.node)}"


def told(happened: Any, names: Names) -> str | None:
    """An event or a command about a request or the instance that is to serve it; None: no news."""
    words = _WORDS.get(type(happened))
    return None if words is None else words(happened, names)


def _started(command: c.StartInstance, names: Names) -> str:
    cards = ", ".join(
        f"{names.node(shard.node)} GPU {' '.join(map(str, shard.gpus))}" for shard in command.shards
    )
    sources = " and ".join(dict.fromkeys(names.place(place) for place in command.sources))
    return f"instance {command.instance} begins to load on {cards} from {sources}"


def _ready(event: e.InstanceReady, names: Names) -> str:
    phases = ", ".join(f"{name} {number(seconds)} s" for name, seconds in event.phases)
    return f"instance {event.instance} is ready after {number(event.load_s)} s ({phases})"


def _finished(event: e.RequestFinished, names: Names) -> str:
    first_s = event.first_token_at - event.scheduled_at
    return (
        f"finished with {event.tokens:,} tokens; in the batch at {event.scheduled_at:,.3f} s, "
        f"first token {number(first_s)} s later"
    )


def _migrated(event: e.Migrated, names: Names) -> str:
    moved = f"{event.bytes_moved / 1e6:,.1f} MB in {event.rounds} rounds"
    return f"has moved, with a pause of {number(event.pause_s)} s; {moved}"


_WORDS: Final[Mapping[type[Any], Callable[[Any, Names], str]]] = {
    c.StartInstance: _started,
    c.Wake: lambda one, names: f"{names.instance(one.instance)} begins to wake",
    c.Dispatch: lambda one, names: f"sent to {names.instance(one.instance)}",
    c.Reject: lambda one, names: f"turned away: {one.reason}",
    c.Cancel: lambda one, names: f"told to end: {one.reason}",
    c.Preempt: lambda one, names: f"told to leave its instance, keeping {one.keep.value}",
    c.Migrate: lambda one, names: (
        f"begins to move live from {names.instance(one.source)} to {names.instance(one.target)}, "
        f"by {one.by.value}"
    ),
    c.AttachAdapter: lambda one, names: (
        f"{names.adapter(one.adapter)} is being attached to {names.instance(one.instance)}, "
        f"from {names.place(one.source)}"
    ),
    e.InstanceReady: _ready,
    e.Awake: lambda one, names: f"instance {one.instance} is awake after {number(one.load_s)} s",
    e.AdapterAttached: lambda one, names: (
        f"{names.adapter(one.adapter)} is attached after {number(one.load_s)} s"
    ),
    e.InstanceLost: lambda one, names: f"instance {one.instance} is lost: {one.reason}",
    e.RequestFinished: _finished,
    e.RequestFailed: lambda one, names: f"failed: {one.reason}",
    e.RequestAbandoned: lambda one, names: "its client has gone",
    e.Preempted: lambda one, names: f"off its instance, {one.tokens_kept:,} tokens kept",
    e.Migrated: _migrated,
}
