"""Why single requests waited as they did: a journal replayed with its policy watched.

Feeds recorded events to a fresh controller, checks that its commands are the recorded ones, and
puts together per request what happened, what was asked and answered, and what it waited for.
Knows no file and no terminal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from fleet.journal import Entry
from fleet.policy import Policy
from traces.asked.placement_picture import Placement
from traces.asked.probes import Log, Refused, Routed, watched
from traces.asked.starts import Attach, Start, Starts
from traces.asked.story import Names, Story, told
from traces.asked.waiting import RUNS, Sampler, Span, totals, until_first_token


class DepartedError(ValueError):
    """The replay gives other commands than were recorded; says from which line on."""


class Moment(msgspec.Struct, frozen=True):
    """Something that happened to a request, at a line of the journal."""

    at: float
    line: int
    what: str


class Explanation(msgspec.Struct, frozen=True):
    """One request. `spans` add up to `ttft_s`, or to how long it was there without a token.

    `ahead` waited for its model when it came, `ahead_in_all` for any. `refusals` are placements
    that found nothing while it waited; `starts` those of the instances that served it.
    """

    request: int
    model: str
    adapter: str | None
    tenant: int
    prompt_tokens: int
    arrived_at: float
    ahead: int
    ahead_in_all: int
    outcome: str
    ttft_s: float | None
    e2e_s: float | None
    tokens: int | None
    moments: tuple[Moment, ...]
    spans: tuple[Span, ...]
    waited_s: Mapping[str, float]
    refused: Refused | None
    routed: tuple[Routed, ...]
    refusals: tuple[Placement, ...]
    starts: tuple[Start, ...]
    attaches: tuple[Attach, ...]


@dataclass(slots=True)
class _Told:
    """What has been gathered of one request."""

    story: Story
    sampler: Sampler
    moments: list[Moment] = field(default_factory=list)
    ahead: tuple[int, int] = (0, 0)
    here: bool = False
    ended: str = "unfinished: the journal ends before it"
    ended_at: float = 0.0

    @property
    def waited_until(self) -> float:
        """When it last waited for what a placement could give."""
        spans = self.sampler.spans(self.ended_at)
        return max((span.end for span in spans if span.wait is not RUNS), default=self.ended_at)


class Explaining:
    """A replay that explains the requests of `stories`, by id."""

    def __init__(self, setup: Setup, policy: Policy, stories: Mapping[int, Story]) -> None:
        models = frozenset(story.request.model for story in stories.values())
        self._log = Log(models, frozenset(stories))
        self._controller = Controller(setup, watched(policy, self._log))
        self._state = self._controller.state
        self._names = Names(self._state)
        self._starts = Starts(self._controller, self._log)
        self._told = {
            number: _Told(story, Sampler(story.request.id, story.dispatched_to))
            for number, story in stories.items()
        }
        self._about: dict[int, list[_Told]] = {}  # by command, until it is answered

    def replay(self, entries: Iterable[Entry]) -> list[Explanation]:
        """Up to the last line about any of them. Raises DepartedError."""
        last_line = max(one.story.last_line for one in self._told.values())
        open_end = not all(one.story.over for one in self._told.values())
        for line, entry in enumerate(entries, 2):
            self._feed(line, entry)
            if line == last_line and not open_end:
                break
        return [self._explained(one) for one in self._told.values()]

    def _feed(self, line: int, entry: Entry) -> None:
        event = entry.event
        arriving = None
        if isinstance(event, e.RequestArrived):
            arriving = self._told.get(event.request.id)
        self._log.line = line
        self._log.active = arriving is not None or any(one.here for one in self._told.values())
        if tuple(self._controller.handle(event)) != entry.commands:
            raise DepartedError(
                f"line {line:,}: this version of the controller gives other commands than the "
                "journal has; hotbed rerun JOURNAL shows them"
            )
        self._starts.match()
        self._starts.note_event(event)
        self._starts.note_commands(entry.commands, event.at)
        if arriving is not None:
            self._arrived(arriving, line, event.at)
        self._happened(line, event, entry.commands)
        for one in self._told.values():
            if one.here:
                self._look(one)

    def _arrived(self, one: _Told, line: int, at: float) -> None:
        request = one.story.request
        one.here = True
        serving = self._state.serving.get(request.model)
        flight = self._state.flights.get(request.id)
        itself = flight is not None and flight.instance is None
        waiting = 0 if serving is None else serving.lanes.waiting
        one.ahead = waiting - itself, self._state.waiting - itself
        one.sampler.arrived(request.arrived_at, at)
        words = f"arrives with {request.prompt_tokens:,} prompt tokens"
        if request.adapter is not None:
            words += f" for {self._names.adapter(request.adapter)}"
        one.moments.append(Moment(at, line, words))

    def _look(self, one: _Told) -> None:
        state, request = self._state, one.story.request
        resting = self._controller.capacity.backoff.waits(request.model, state.now)
        one.sampler.look(state, resting)
        one.here = request.id in state.flights
        one.ended_at = state.now

    # What happened

    def _happened(self, line: int, event: e.Event, commands: Iterable[c.Command]) -> None:
        if isinstance(event, e.CommandFailed | e.InstanceStopped):
            self._answered(event, line)
        if isinstance(event, e.NodeLost):
            self._node_lost(event, line)
        for one in self._whom(event):
            self._say(one, event.at, line, told(event, self._names))
            self._end(one, event)
        for command in commands:
            whom = self._whom(command)
            if whom and not isinstance(command, c.Dispatch | c.Reject):
                self._about[command.id] = whom
            for one in whom:
                self._say(one, event.at, line, told(command, self._names))
                self._end(one, command)

    def _whom(self, happened: Any) -> list[_Told]:
        """The requests that it is about, or whose instance it is about."""
        request = getattr(happened, "request", None)
        if isinstance(request, int):
            one = self._told.get(request)
            return [] if one is None else [one]
        instance = getattr(happened, "instance", None)
        if instance is None or isinstance(happened, c.StopInstance):
            return []
        adapter = getattr(happened, "adapter", None)
        return [
            one
            for one in self._told.values()
            if instance in one.story.dispatched_to and adapter in (None, one.story.request.adapter)
        ]

    def _answered(self, event: e.CommandFailed | e.InstanceStopped, line: int) -> None:
        """An order to do with a request came to nothing."""
        for one in self._about.pop(event.command, []):
            if isinstance(event, e.CommandFailed):
                self._say(one, event.at, line, f"that failed: {event.reason}")

    def _node_lost(self, event: e.NodeLost, line: int) -> None:
        for one in self._told.values():
            before = one.sampler.running_on
            flight = self._state.flights.get(one.story.request.id)
            if before is not None and flight is not None and flight.instance is None:
                node = self._names.node(event.node)
                self._say(
                    one, event.at, line, f"node {node} is lost, and instance {before} with it"
                )

    def _say(self, one: _Told, at: float, line: int, words: str | None) -> None:
        """Between its arrival and the last line about it."""
        if words is not None and one.moments and line <= one.story.last_line:
            one.moments.append(Moment(at, line, words))

    def _end(self, one: _Told, happened: Any) -> None:
        match happened:
            case e.RequestFinished():
                one.ended = "finished"
            case e.RequestFailed():
                one.ended = f"failed: {happened.reason}"
            case c.Reject():
                one.ended = f"turned away: {happened.reason}"

    # Put together

    def _explained(self, one: _Told) -> Explanation:
        request, finished = one.story.request, one.story.finished
        spans = until_first_token(one.sampler.spans(one.ended_at), finished)
        names, starts = self._names, self._starts
        served = dict(zip(one.story.dispatched_to, one.story.dispatched_at, strict=True))
        up = [starts.serving(instance, at) for instance, at in served.items()]
        return Explanation(
            request=request.id,
            model=names.model(request.model),
            adapter=None if request.adapter is None else names.adapter(request.adapter),
            tenant=request.tenant,
            prompt_tokens=request.prompt_tokens,
            arrived_at=request.arrived_at,
            ahead=one.ahead[0],
            ahead_in_all=one.ahead[1],
            outcome=one.ended,
            ttft_s=None if finished is None else finished.first_token_at - request.arrived_at,
            e2e_s=None if finished is None else finished.ended_at - request.arrived_at,
            tokens=None if finished is None else finished.tokens,
            moments=tuple(one.moments),
            spans=tuple(spans),
            waited_s={wait.value: seconds for wait, seconds in totals(spans).items()},
            refused=self._log.refused.get(request.id),
            routed=tuple(self._log.routed.get(request.id, ())),
            refusals=tuple(self._refusals(one)),
            starts=tuple(start for start in up if start is not None),
            attaches=tuple(
                attach
                for (instance, adapter), attach in starts.attaches.items()
                if instance in served and adapter == request.adapter
            ),
        )

    def _refusals(self, one: _Told) -> list[Placement]:
        """Placements for its model that found nothing while it was there."""
        model = self._names.model(one.story.request.model)
        return [
            found
            for found in self._log.placements
            if found.answer in ("full", "no")
            and found.model == model
            and found.until >= one.story.request.arrived_at
            and found.at <= one.waited_until
        ]
