"""What a request waited for, second by second: spans that add up to its time to the first token.

Looks at the controller's picture after every event of a replay and asks what stood between the
request and its first token. Knows no policy.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from fleet.domain import RequestId
from fleet.events import RequestFinished
from fleet.holders import Flight, Instance, Phase
from fleet.pools import Stay
from fleet.state import Serving, State


class Wait(StrEnum):
    """What a request that is not yet answered waits for."""

    ROOM = "room on a node"
    CLEARING = "the cards to be cleared"
    LOADING = "the instance to load"
    ANOTHER = "a start that served others"
    SLOT = "a free slot"
    ADAPTER = "its adapter to be attached"
    ADAPTER_SLOT = "a slot for its adapter"
    TURN = "its turn"
    RESTING = "a failed load to rest"
    SCALING = "the policy to want an instance"
    REPORT = "its report to arrive"
    ENGINE = "the engine's batch"
    PREFILL = "its prefill"
    LOST = "work that was lost"
    RUNNING = "its answer"


class Span(msgspec.Struct, frozen=True):
    """Seconds of the run, and what was waited for; `instance` where one is meant."""

    begin: float
    end: float
    wait: Wait
    instance: int | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.begin


#: What a request is doing: on an instance, or waiting for something of one.
State_ = tuple[Wait, int | None]
RUNS: Final = Wait.RUNNING


class Sampler:
    """Follows one request through a replay.

    `dispatched_to` are the instances it will be dispatched to, in order: what it waits for is
    told by what becomes of the next one.
    """

    def __init__(self, request: RequestId, dispatched_to: Sequence[int]) -> None:
        self._request = request
        self._dispatched_to = dispatched_to
        self._spans: list[Span] = []
        self._now: State_ | None = None
        self._since = math.nan

    def arrived(self, arrived_at: float, now: float) -> None:
        """It came; where the controller learned it later, it waited for that."""
        self._since = arrived_at
        if now > arrived_at:
            self._now = Wait.REPORT, None

    @property
    def running_on(self) -> int | None:
        """The instance it was on when last looked at."""
        return self._now[1] if self._now is not None and self._now[0] is RUNS else None

    def look(self, state: State, resting: bool) -> None:
        """After an event. `resting`: loads of its model are barred after a failure."""
        flight = state.flights.get(self._request)
        found = None if flight is None else self._state(flight, state, resting)
        if found != self._now:
            self._turn(found, state.now)

    def _turn(self, to: State_ | None, now: float) -> None:
        if self._now is not None and now > self._since:
            self._spans.append(Span(self._since, now, *self._now))
        self._now = to
        self._since = now

    def _state(self, flight: Flight, state: State, resting: bool) -> State_:
        if flight.instance is not None:
            return RUNS, int(flight.instance.id)
        serving = state.serving[flight.request.model]
        left = self._dispatched_to[flight.attempts :]
        instance = state.instances.get(left[0]) if left else None  # type: ignore[call-overload]
        if instance is not None:
            known = _of_instance(instance, flight)
            if known is not None:
                return known, int(instance.id)
        return _of_model(serving, flight, state, resting), None

    def spans(self, now: float) -> list[Span]:
        """Up to now, where the journal or the request has ended."""
        if self._now is None or now <= self._since:
            return self._spans
        return [*self._spans, Span(self._since, now, *self._now)]


def _of_instance(instance: Instance, flight: Flight) -> Wait | None:
    """What the instance that will serve it must still do; None if it is not on its way."""
    match instance.phase:
        case Phase.PLANNED:
            return Wait.CLEARING
        case Phase.LOADING | Phase.WAKING:
            return Wait.LOADING
        case Phase.READY:
            adapter = flight.request.adapter
            entry = None if adapter is None else instance.adapters.entries.get(adapter)
            if entry is not None and entry.stay is Stay.COMING:
                return Wait.ADAPTER
            if instance.load >= instance.slots:
                return Wait.SLOT
            lacks = adapter is not None and not instance.has(adapter)
            return Wait.ADAPTER_SLOT if lacks else Wait.TURN
    return None


def _of_model(serving: Serving, flight: Flight, state: State, resting: bool) -> Wait:
    """What keeps the model from serving one more, where no instance is named yet."""
    if serving.starting:
        return Wait.ANOTHER
    if serving.spec.id in state.needs:
        return Wait.ROOM
    if serving.ready.has_slot():
        adapter = flight.request.adapter
        free = (one for one in serving.ready if one.load < one.slots)
        has = adapter is None or any(one.has(adapter) for one in free)
        return Wait.TURN if has else Wait.ADAPTER_SLOT
    if len(serving.ready):
        return Wait.SLOT
    return Wait.RESTING if resting else Wait.SCALING


def until_first_token(spans: Iterable[Span], finished: RequestFinished | None) -> list[Span]:
    """The spans up to the first token, with those on an instance parted into the engine's steps.

    Of a request that never finished, all of them. The first token's time is the client's, so what
    ran before it was scheduled for good was lost.
    """
    pieces: list[Span] = []
    for span in spans:
        if finished is None or span.wait is not RUNS:
            pieces.append(span)
        else:
            pieces += parted(span, finished.scheduled_at, finished.first_token_at)
    if finished is None:
        return pieces
    return [
        msgspec.structs.replace(span, end=min(span.end, finished.first_token_at))
        for span in pieces
        if span.begin < finished.first_token_at
    ]


def parted(span: Span, scheduled_at: float, first_token_at: float) -> list[Span]:
    """One stay on an instance: in the engine's queue, in prefill, and after the first token.

    A stay before the request was scheduled for good was lost.
    """
    if span.end <= scheduled_at:
        return [msgspec.structs.replace(span, wait=Wait.LOST)]
    edges = [span.begin, max(span.begin, scheduled_at), max(span.begin, first_token_at), span.end]
    steps = zip((Wait.ENGINE, Wait.PREFILL, RUNS), edges, edges[1:], strict=False)
    return [
        Span(begin, min(end, span.end), wait, span.instance)
        for wait, begin, end in steps
        if min(end, span.end) > begin
    ]


def totals(spans: Iterable[Span]) -> dict[Wait, float]:
    """Seconds by what was waited for, the longest first."""
    sums: dict[Wait, float] = {}
    for span in spans:
        sums[span.wait] = sums.get(span.wait, 0.0) + span.seconds
    return dict(sorted(sums.items(), key=lambda pair: -pair[1]))
