"""Waiting requests of one model, in lanes of (adapter, tenant): first come, first served in each.

Which lane gets a freed slot is the ordering policy's choice. A lane whose head cannot be served
yet is set aside for the rest of the round, so that others never wait behind it.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

from fleet.domain import AdapterId, TenantId
from fleet.holders import Flight

LaneKey: TypeAlias = tuple[AdapterId | None, TenantId]


class Lane:
    __slots__ = ("adapter", "aside", "flights", "tenant")

    def __init__(self, adapter: AdapterId | None, tenant: TenantId) -> None:
        self.adapter = adapter
        self.tenant = tenant
        self.flights: deque[Flight] = deque()
        self.aside = False


class Lanes:
    """The lanes of one model that hold something; `waiting` requests in all."""

    __slots__ = ("_aside", "_heap", "_lanes", "_offers", "waiting")

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        # By head. Entries go stale and are dropped when met; the count keeps equal heads apart.
        self._heap: list[tuple[float, int, int, Lane]] = []
        self._offers = 0
        self._aside: list[Lane] = []
        self.waiting = 0

    def push(self, flight: Flight, *, front: bool = False) -> None:
        """Queue a request; one that comes back goes in front of all that arrived after it."""
        request = flight.request
        key = (request.adapter, request.tenant)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(*key)
        flights = lane.flights
        if front:
            flights.insert(_place(flights, flight), flight)
        else:
            flights.append(flight)
        self.waiting += 1
        if flights[0] is flight and not lane.aside:
            self._offer(lane)

    def pop(self, lane: Lane) -> Flight:
        """Take the head of a lane."""
        flight = lane.flights.popleft()
        self._gone(lane)
        return flight

    def remove(self, flight: Flight) -> None:
        """Take a request out of the middle: its client left, or its time ran out."""
        lane = self._lanes[flight.request.adapter, flight.request.tenant]
        lane.flights.remove(flight)
        self._gone(lane)

    def oldest(self) -> Lane | None:
        """The lane whose head arrived first, of those not set aside."""
        heap = self._heap
        while heap:
            arrived_at, number, _, lane = heap[0]
            flights = lane.flights
            if flights and not lane.aside:
                head = flights[0].request
                if head.id == number and head.arrived_at == arrived_at:
                    return lane
            heapq.heappop(heap)
        return None

    def set_aside(self, lane: Lane) -> None:
        lane.aside = True
        self._aside.append(lane)

    def restore(self) -> None:
        """End of the round: every lane is open again."""
        for lane in self._aside:
            lane.aside = False
            if lane.flights:
                self._offer(lane)
        self._aside.clear()

    def __iter__(self) -> Iterator[Lane]:
        """Open lanes, in no order that matters."""
        return (lane for lane in self._lanes.values() if not lane.aside)

    def flights(self) -> Iterator[Flight]:
        for lane in self._lanes.values():
            yield from lane.flights

    def _gone(self, lane: Lane) -> None:
        self.waiting -= 1
        if not lane.flights:
            del self._lanes[lane.adapter, lane.tenant]
        elif not lane.aside:
            self._offer(lane)

    def _offer(self, lane: Lane) -> None:
        head = lane.flights[0].request
        self._offers += 1
        heapq.heappush(self._heap, (head.arrived_at, head.id, self._offers, lane))


def _place(flights: deque[Flight], back: Flight) -> int:
    """Where a request that comes back belongs: near the front, for what waits is younger."""
    since = back.request.arrived_at, back.request.id
    for i, other in enumerate(flights):
        if since < (other.request.arrived_at, other.request.id):
            return i
    return len(flights)
