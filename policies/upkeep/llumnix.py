"""Llumnix: running requests move from where KV memory runs out to where most of it is free."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from fleet.commands import By, Migrate
from fleet.domain import InstanceId, ModelSpec
from fleet.holders import Flight, Instance
from fleet.plans import UNNUMBERED, Plan, Step, Steps
from fleet.view import View

#: Tokens of a KV block, as in vLLM.
BLOCK_TOKENS = 16


@dataclass(frozen=True)
class LlumnixMigration:
    """Pair the instances of least freeness with those of most, and move one request each by KV.

    Freeness F = (free KV blocks - blocks of what waits) / requests: decode steps left. Sources have
    F below `least`, targets above it. `pairing` "defrag" pairs them all, "balanced" only where the
    target stays at `least` or above and the difference shrinks without turning round. `choice` of
    the request: SR the shortest, LR the longest, LCR the last to come. One move an instance at a
    time. Released Llumnix looks every 0.05 s. Models that state no KV size are left alone.
    """

    source: ClassVar[str] = (
        "Llumnix, OSDI'24, sections 4.3 and 4.4; AlibabaPAI/llumnix "
        "global_scheduler/migration_policy.py and migration_scheduler.py"
    )
    departs: ClassVar[str] = (
        "The queue is the controller's, not an instance's: its blocks are shared out evenly. "
        "The difference is reckoned with the chosen request, not with the last one."
    )

    every_s: Annotated[float, Meta(gt=0)] = 1.0
    pairing: Literal["balanced", "defrag"] = "balanced"
    choice: Literal["SR", "LR", "LCR"] = "SR"
    least: Annotated[float, Meta(ge=0)] = 3.0

    def tend(self, view: View) -> Iterator[Plan]:
        for spec in view.models():
            if spec.kv_bytes_per_token and len(view.ready(spec.id)) > 1:
                yield from self._of(spec, view)

    def _of(self, spec: ModelSpec, view: View) -> Iterator[Plan]:
        ready = list(view.ready(spec.id))
        prompts = sum(i.prompt_tokens for i in ready) / max(1, sum(len(i.running) for i in ready))
        waiting_blocks = view.queued(spec.id) * prompts / len(ready) / BLOCK_TOKENS
        free = {i.id: free_blocks(i, view) - waiting_blocks for i in ready}
        sources = [i for i in ready if i.running and freeness(free[i.id], i.load) < self.least]
        targets = [i for i in ready if freeness(free[i.id], i.load) > self.least]
        sources.sort(key=lambda i: (freeness(free[i.id], i.load), i.id))
        targets.sort(key=lambda i: (-freeness(free[i.id], i.load), i.id))
        for source, target in zip(sources, targets, strict=False):
            flight = self._chosen(source, target, view)
            if flight is not None and self._helps((source, target), flight, free, view):
                yield move(flight, source, target, view)

    def _chosen(self, source: Instance, target: Instance, view: View) -> Flight | None:
        """The request that leaves; None while either is in a migration, or nobody can."""
        if target.inbound or target.load >= target.slots:
            return None
        if any(f.move is not None for f in source.running.values()):
            return None
        flights = [f for f in source.running.values() if not f.told and at_home(f, target)]
        if self.choice == "LCR":
            return max(flights, key=lambda f: (f.dispatched_at, f.request.id), default=None)
        sign = 1 if self.choice == "SR" else -1
        return min(flights, key=lambda f: (sign * tokens(f, view), f.request.id), default=None)

    def _helps(
        self,
        pair: tuple[Instance, Instance],
        flight: Flight,
        free: dict[InstanceId, float],
        view: View,
    ) -> bool:
        if self.pairing == "defrag":
            return True
        source, target = pair
        blocks = tokens(flight, view) / BLOCK_TOKENS
        before = freeness(free[target.id], target.load) - freeness(free[source.id], source.load)
        left = freeness(free[source.id] + blocks, source.load - 1)
        there = freeness(free[target.id] - blocks, target.load + 1)
        return there >= self.least and 0.0 < there - left < before


def freeness(blocks: float, requests: int) -> float:
    """Blocks left per request; inf for an instance without any."""
    return blocks / requests if requests > 0 else math.inf


def free_blocks(instance: Instance, view: View) -> float:
    return (view.kv_tokens(instance) - view.context_tokens(instance)) / BLOCK_TOKENS


def tokens(flight: Flight, view: View) -> float:
    """Believed tokens in the KV cache of a running request."""
    return flight.request.prompt_tokens + view.tokens_so_far(flight)


def at_home(flight: Flight, target: Instance) -> bool:
    """Whether the target could serve it: its adapter, if it has one, is attached there."""
    adapter = flight.request.adapter
    return adapter is None or target.has(adapter)


def move(flight: Flight, source: Instance, target: Instance, view: View) -> Plan:
    """Copy the request's KV blocks to the target while it goes on decoding."""
    migrate = Migrate(UNNUMBERED, flight.request.id, source.id, target.id, By.KV)
    peer = view.node(source.node).links.peer_bytes_per_s
    copy_s = tokens(flight, view) * source.model.kv_bytes_per_token / peer
    return Steps((Step(migrate),), view.now + copy_s)
