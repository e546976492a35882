"""One calendar for three kinds of event: arrivals, engines' boundaries, and SimPy's world.

Loads, timers, migrations and faults are few and want SimPy's processes. Arrivals and engine
boundaries are nearly all the events there are: arrivals come sorted and need no heap, boundaries a
bare one. At one moment engines come first, then the world, then the next arrival.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

import msgspec
import simpy
from simpy.core import EmptySchedule
from simpy.events import NORMAL

from fleet.domain import Request

if TYPE_CHECKING:
    from sim.served import Served


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A request of the workload, with the output length that only the simulator may read."""

    request: Request
    output_tokens: int


class Calendar(simpy.Environment):
    """A SimPy environment that also holds sorted arrivals and engines' wake-ups.

    Its owner sets `on_arrival` and `on_wake` (an engine, and the time) before the first step.
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
        self.arrivals_over = True

    @property
    def armed(self) -> int:
        """Wake-ups put into the calendar so far, stale ones included."""
        return self._armed

    def feed(self, arrivals: Iterable[Arrival]) -> None:
        """The workload, sorted by arrival. Read one at a time, so it may be a generator."""
        self._arrivals = iter(arrivals)
        self.arrivals_over = False
        self._next_arrival()

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

    def _next_arrival(self) -> None:
        arrival = self._arrival = next(self._arrivals, None)
        if arrival is None:
            self.arrivals_over = True
            self._arrival_at = inf
            return
        at = arrival.request.arrived_at
        assert at >= self._now, f"request arrives at {at}, before {self._now}: sort the workload"
        self._arrival_at = at
