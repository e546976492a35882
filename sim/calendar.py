"""One calendar for three kinds of event: arrivals, engines' boundaries, and SimPy's world.

Loads, timers, migrations and faults are few and want SimPy's processes. Arrivals and engine
boundaries are nearly all the events there are: arrivals come sorted and need no heap, boundaries a
bare one. At one moment engines come first, then the world, then the next arrival.

In a closed loop a client thinks after an answer and then asks again: such a request has no time of
its own, and comes from the world's side of the calendar once the one before it has ended.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

import msgspec
import simpy
from simpy.core import EmptySchedule
from simpy.events import NORMAL

from fleet.domain import Request, RequestId

if TYPE_CHECKING:
    from sim.served import Served


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A request of the workload, with the output length that only the simulator may read.

    With `after` it is sent `think_s` after the end of that request, however that ended, and its
    `arrived_at` becomes that moment; a deadline keeps its distance from it.
    """

    request: Request
    output_tokens: int
    after: RequestId | None = None
    think_s: float = 0.0

    def sent(self, at: float) -> "Arrival":
        """The same, arriving at that moment."""
        request = self.request
        deadline_at = request.deadline_at
        if deadline_at is not None:
            deadline_at += at - request.arrived_at
        moved = msgspec.structs.replace(request, arrived_at=at, deadline_at=deadline_at)
        return Arrival(moved, self.output_tokens)


class Calendar(simpy.Environment):
    """A SimPy environment that also holds sorted arrivals and engines' wake-ups.

    Its owner sets `on_arrival` and `on_wake` (an engine, and the time) before the first step, and
    says of each request in `followers` when it has `ended`. `arrivals_over`: nobody will come any
    more. `waits`: who is still to come, if anybody, waits for another request to end.
    """

    on_arrival: Callable[[Arrival], None]
    on_wake: "Callable[[Served, float], None]"

    def __init__(self) -> None:
        super().__init__()
        self._wakes: list[tuple[float, int, Served]] = []
        self._armed = 0
        self._arrivals: Iterator[Arrival] = iter(())
        self._arrival: Arrival | None = None
        self._arrival_at = inf
        self._read = True  # to the end of the workload
        self._thinking = 0  # requests whose moment is known, but has not come
        self.followers: dict[int, Arrival] = {}  # by the request that they wait for
        self.waits = True
        self.arrivals_over = True

    @property
    def armed(self) -> int:
        """Wake-ups put into the calendar so far, stale ones included."""
        return self._armed

    def feed(self, arrivals: Iterable[Arrival]) -> None:
        """The workload, sorted by arrival. Read one at a time, so it may be a generator.

        What has an `after` stands behind the request that it follows, before the next one with a
        time of its own: so it is known by the time that request ends.
        """
        self._arrivals = iter(arrivals)
        self._read = self.waits = self.arrivals_over = False
        self._next_arrival()

    def ended(self, request: int) -> None:
        """That request is over now: whoever waits for its end thinks, and then comes."""
        follower = self.followers.pop(request, None)
        if follower is not None:
            self._thinking += 1
            self._count()
            at = self._now + follower.think_s
            self.at(at, lambda: self._sent(follower, at))

    def arm(self, engine: "Served") -> None:
        """See that the engine is woken at its `next_at`. Entries that it passed by are stale."""
        at = engine.next_at
        if at != engine.armed_at:
            engine.armed_at = at
            if at != inf:
                self._armed += 1
                heappush(self._wakes, (at, self._armed, engine))

    def at(self, moment: float, then: Callable[[], None]) -> None:
        """Do it at that moment, after what is already planned for it.

        Exact where a timeout is not: now + (moment - now) need not be `moment`.
        """
        assert moment >= self._now, f"{moment} is before {self._now}"
        happening = simpy.Event(self)
        happening.callbacks.append(lambda _: then())
        happening._ok = True
        happening._value = None
        heappush(self._queue, (moment, NORMAL, next(self._eid), happening))

    def peek(self) -> float:
        """When the next event is; inf if there is none."""
        wake_at = self._wakes[0][0] if self._wakes else inf
        return min(wake_at, self._arrival_at, super().peek())

    def step(self) -> None:
        """Process wake-ups and arrivals up to SimPy's next event, and that event.

        Raises EmptySchedule when there is nothing more. One call sees many events, because a
        call for each would be a good part of what they cost.
        """
        wakes, queue = self._wakes, self._queue
        while True:
            wake_at = wakes[0][0] if wakes else inf
            world_at = queue[0][0] if queue else inf
            arrival_at = self._arrival_at
            if wake_at <= world_at and wake_at <= arrival_at:
                if wake_at == inf:
                    raise EmptySchedule
                engine = heappop(wakes)[2]
                if wake_at == engine.armed_at:
                    engine.armed_at = inf
                    self._now = wake_at
                    self.on_wake(engine, wake_at)
            elif arrival_at < world_at:
                self._now = arrival_at
                arrival = self._arrival
                assert arrival is not None, "it has a time"
                self._next_arrival()
                self.on_arrival(arrival)
            else:
                return super().step()

    def _sent(self, arrival: Arrival, at: float) -> None:
        self._thinking -= 1
        self._count()
        self.on_arrival(arrival.sent(at))

    def _next_arrival(self) -> None:
        arrival = self._arrival = next(self._arrivals, None)
        if arrival is None or arrival.after is not None:
            arrival = self._arrival = self._next_timed(arrival)
            if arrival is None:
                return
        at = arrival.request.arrived_at
        assert at >= self._now, f"request arrives at {at}, before {self._now}: sort the workload"
        self._arrival_at = at

    def _next_timed(self, arrival: Arrival | None) -> Arrival | None:
        """The next with a time of its own; those before it wait for another's end."""
        while arrival is not None:
            before = arrival.after
            if before is None:
                return arrival
            assert before not in self.followers, f"two requests follow request {before}"
            self.followers[before] = arrival
            arrival = next(self._arrivals, None)
        self._read = True
        self._arrival_at = inf
        self._count()
        return None

    def _count(self) -> None:
        self.waits = self._read and not self._thinking
        self.arrivals_over = self.waits and not self.followers
