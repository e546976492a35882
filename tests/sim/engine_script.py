"""Plays one script of arrivals, moves and probes on engines: those of `sim` or the oracle's.

At equal times wakes come before the script. Knows the engines only by the interface they share.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, Literal, Protocol, TypeVar

import msgspec


class AnySequence(Protocol):
    request: int
    prompt_tokens: int
    generated: int
    prefilled: int


S = TypeVar("S", bound=AnySequence)


class AnyEngine(Protocol[S]):
    preemptions: int

    @property
    def next_at(self) -> float: ...
    def __contains__(self, request: int) -> bool: ...
    def add(self, at: float, sequence: S) -> None: ...
    def remove(self, at: float, request: int) -> S: ...
    def wake(self, at: float) -> list[S]: ...
    def generated(self, at: float, request: int) -> int: ...
    def context(self, at: float) -> int: ...
    def free_blocks(self, at: float) -> int: ...
    def unused_prefixes(self, at: float) -> Sequence[object]: ...
    def reserve(self, at: float, request: int, tokens: int) -> bool: ...
    def unreserve(self, at: float, request: int) -> None: ...


class Arrival(msgspec.Struct, frozen=True):
    at: float
    engine: int
    request: int
    prompt_tokens: int
    output_tokens: int
    rank: int = 0
    prefix: tuple[int, ...] = ()
    prefix_block_tokens: int = 0


class Action(msgspec.Struct, frozen=True):
    """`kept` is the share of the KV that moves along; `delay_s` how long the move takes."""

    at: float
    kind: Literal["drop", "move", "reserve", "unreserve", "probe"]
    request: int
    engine: int = 0
    kept: float = 0.0
    delay_s: float = 0.0


WAKES_LIMIT = 20_000
Step = tuple[float, int, Callable[[float], None]]


class Play(Generic[S]):
    """A script on engines; after `run` it holds everything that can be compared."""

    def __init__(
        self,
        engines: Sequence[AnyEngine[S]],
        script: Iterable[Arrival | Action],
        make: Callable[[Arrival], S],
    ) -> None:
        self.engines = engines
        self.make = make
        self.order = count()
        self.script = list(script)
        self.steps: list[Step] = [
            (item.at, next(self.order), self._step(item)) for item in self.script
        ]
        heapify(self.steps)
        self.ended: dict[int, tuple[S, float]] = {}
        self.dropped: dict[int, S] = {}
        self.refused: list[tuple[float, int]] = []
        self.seen: list[tuple[object, ...]] = []
        self.wakes = 0

    def run(self) -> "Play[S]":
        while True:
            engine = min(self.engines, key=lambda engine: engine.next_at)
            wake_at = engine.next_at
            if self.steps and self.steps[0][0] < wake_at:
                at, _, step = heappop(self.steps)
                step(at)
            elif wake_at < math.inf:
                self.wakes += 1
                assert self.wakes < WAKES_LIMIT, "time stands still"
                for sequence in engine.wake(wake_at):
                    self.ended[sequence.request] = (sequence, wake_at)
            else:
                return self

    def _step(self, item: Arrival | Action) -> Callable[[float], None]:
        if isinstance(item, Arrival):
            return lambda at: self._add(at, self.engines[item.engine], self.make(item))
        return {
            "drop": lambda at: self._drop(at, item),
            "move": lambda at: self._move(at, item),
            "reserve": lambda at: self._reserve(at, item),
            "unreserve": lambda at: self.engines[item.engine].unreserve(at, item.request),
            "probe": self._probe,
        }[item.kind]

    def _add(self, at: float, engine: AnyEngine[S], sequence: S) -> None:
        try:
            engine.add(at, sequence)
        except ValueError:
            self.refused.append((at, sequence.request))
            if sequence.prefilled:
                sequence.prefilled = 0
                engine.add(at, sequence)

    def _holder(self, request: int) -> AnyEngine[S] | None:
        return next((engine for engine in self.engines if request in engine), None)

    def _drop(self, at: float, item: Action) -> None:
        holder = self._holder(item.request)
        if holder:
            self.dropped[item.request] = holder.remove(at, item.request)

    def _move(self, at: float, item: Action) -> None:
        holder = self._holder(item.request)
        if holder is None:
            return
        gone = holder.remove(at, item.request)
        self.seen.append((at, gone.request, gone.generated))
        all_but_one = gone.prompt_tokens + gone.generated - 1
        gone.prefilled = round(item.kept * all_but_one)
        target = self.engines[item.engine]
        arrive: Callable[[float], None] = lambda at: self._add(at, target, gone)  # noqa: E731
        heappush(self.steps, (at + item.delay_s, next(self.order), arrive))

    def _reserve(self, at: float, item: Action) -> None:
        """Keeps blocks for a while; a request that is moved there in the meantime uses them."""
        engine = self.engines[item.engine]
        granted = engine.reserve(at, item.request, 1 + round(100 * item.kept))
        self.seen.append((at, item.request, granted))
        give_back: Callable[[float], None] = lambda at: engine.unreserve(at, item.request)  # noqa: E731
        heappush(self.steps, (at + item.delay_s, next(self.order), give_back))

    def _probe(self, at: float) -> None:
        """Questions may be asked at any time and move no wake-up."""
        wakes_at = [engine.next_at for engine in self.engines]
        for engine in self.engines:
            held = [
                engine.generated(at, item.request)
                for item in self.script
                if isinstance(item, Arrival) and item.request in engine
            ]
            unused = list(engine.unused_prefixes(at))
            self.seen.append((at, engine.context(at), engine.free_blocks(at), unused, *held))
        assert [engine.next_at for engine in self.engines] == wakes_at
