"""As many replicas as a small simulation of the queue needs to meet the objective."""

import heapq
import random
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import ModelSpec
from fleet.view import View
from policies.scaling.samples import Targeted, active, replicas

Positive = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True)
class Queue:
    """What the look-ahead starts from. Seconds, and requests."""

    rate_per_s: float
    service_s: float
    load_s: float
    slots: int  # of one replica
    running: int
    waiting: int


def waits_s(queue: Queue, have: int, more: int, most: int, rng: random.Random) -> list[float]:
    """Waits of the queue and of the next arrivals, with `more` replicas after `load_s`.

    First come, first served; Poisson arrivals until `load_s` and two service times are over, at
    most so many; exponential services. A slot is free at the time in the heap.
    """
    free_at = [0.0] * max(0, have * queue.slots - queue.running)
    free_at += [rng.expovariate(1.0 / queue.service_s) for _ in range(queue.running)]
    free_at += [queue.load_s] * (more * queue.slots)
    if not free_at:
        return [float("inf")]
    heapq.heapify(free_at)
    horizon_s = queue.load_s + 2.0 * queue.service_s
    at, found = 0.0, []
    arrivals = [0.0] * min(queue.waiting, most)
    while queue.rate_per_s > 0 and len(arrivals) < most:
        at += rng.expovariate(queue.rate_per_s)
        if at > horizon_s:
            break
        arrivals.append(at)
    for arrived_at in arrivals:
        start_at = max(arrived_at, heapq.heappop(free_at))
        heapq.heappush(free_at, start_at + rng.expovariate(1.0 / queue.service_s))
        found.append(start_at - arrived_at)
    return found


def quantile(values: list[float], q: float) -> float:
    """The least value that a share q of them does not exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


@dataclass(frozen=True)
class QueueLookahead(Targeted):
    """The fewest replicas with which a simulated queue's `quantile` wait is at most `wait_s`.

    Every `every_s` each model's queue is played forward `rounds` times until a replica ordered now
    would have loaded, and two service times more: Poisson arrivals at the believed rate (its own
    mean over a minute), exponential services of the believed mean. The same draws for every number
    of replicas tried (0 more, 1 more, ... to `most_more`), and a wait that `most_more` would not
    shorten is not held against fewer. One fewer if half the wait is kept to without one; the last
    one goes when less than `rare` arrivals are expected during a load.
    """

    source: ClassVar[str] = "hotbed's own; the idea of planning for the wait after t_load"
    departs: ClassVar[str] = "Runs on a timer: it simulates up to `most_more` queues a model."

    wait_s: Annotated[float, Meta(ge=0)] = 2.0
    quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.99
    every_s: Positive = 2.0
    most_more: Annotated[int, Meta(ge=1)] = 8
    most_requests: Annotated[int, Meta(ge=1)] = 200
    rounds: Annotated[int, Meta(ge=1)] = 4
    rare: Annotated[float, Meta(ge=0)] = 0.01

    def tick(self, view: View) -> None:
        for spec in view.models():
            have = replicas(spec.id, view)
            if have or view.queued(spec.id):
                self._targets[spec.id] = self._fewest(self._queue(spec, view), have, view)

    def _queue(self, spec: ModelSpec, view: View) -> Queue:
        node = view.nodes.specs[0]
        ready = view.ready(spec.id).least()
        kind = node.kind if ready is None else view.node(ready.node).kind
        pace = view.estimates.pace(spec.id, kind)
        service_s = view.estimates.output_tokens(spec.id) * pace.decode_s_per_token
        column = view.tiers(spec.id)
        nearest = int(column.argmax())
        tier = view.source(spec.id, view.nodes.specs[nearest].id).tier
        load_s = view.estimates.load_s(spec, view.nodes.specs[nearest], tier)
        waiting = view.queued(spec.id)
        running = active(spec.id, view) - waiting
        return Queue(view.rate(spec.id), service_s, load_s, spec.max_sequences, running, waiting)

    def _fewest(self, queue: Queue, have: int, view: View) -> int:
        seed = view.stream("lookahead").getrandbits(32)
        allowed_s = max(self.wait_s, self._wait_s(queue, have, self.most_more, seed))
        for more in range(self.most_more + 1):
            if self._wait_s(queue, have, more, seed) <= allowed_s:
                return have + more if more else self._fewer(queue, have, seed)
        raise AssertionError("the most that is tried meets what it was measured by")

    def _fewer(self, queue: Queue, have: int, seed: int) -> int:
        """One less, if what runs keeps its slots and the objective holds without it."""
        left = have - 1
        if not left:
            idle = not queue.running and not queue.waiting
            return 0 if idle and queue.rate_per_s * queue.load_s < self.rare else have
        if left * queue.slots < queue.running + queue.waiting:
            return have
        return left if self._wait_s(queue, left, 0, seed) <= self.wait_s / 2.0 else have

    def _wait_s(self, queue: Queue, have: int, more: int, seed: int) -> float:
        rng = random.Random(seed)
        rounds = (waits_s(queue, have, more, self.most_requests, rng) for _ in range(self.rounds))
        return quantile([wait for waits in rounds for wait in waits], self.quantile)
