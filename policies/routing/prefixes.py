"""Routing to where a prompt's beginning is believed to be cached, within a limit of load."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import InstanceId, Request
from fleet.holders import Instance, Phase
from fleet.view import View
from policies.routing.candidates import MOST, candidates, takes
from policies.routing.prefix_index import WATCHED, PrefixIndex, keys


def holders(request: Request, view: View, index: PrefixIndex) -> list[tuple[Instance, int]]:
    """Instances that can take the request now and are believed to hold its beginning.

    With the number of blocks matched, the longest first; of equal ones the least loaded first.
    """
    found: list[tuple[Instance, int]] = []
    for number, blocks in index.longest(keys(request, index.most_blocks), MOST).items():
        instance = view.instance(number)
        if instance.phase is Phase.READY and takes(instance, request):
            found.append((instance, blocks))
    return sorted(found, key=lambda held: (-held[1], held[0].load))


@dataclass(frozen=True)
class AibrixPrefix:
    """The longest match among instances that are not much busier than the mean; else least load.

    If max - min requests >= `imbalance`, the least loaded serves. Otherwise the longest match among
    those with requests <= mean + `deviations` * standard deviation; without one, the least loaded.
    """

    source: ClassVar[str] = "AIBrix, pkg/plugins/gateway/algorithms/prefix_cache.go"
    departs: ClassVar[str] = (
        "As first released: later AIBrix also asks for max > 2 * (mean + 1), and then matches "
        "among the least loaded. The 64 longest matches are looked at."
    )
    observes: ClassVar = WATCHED

    imbalance: Annotated[int, Meta(ge=1)] = 8
    deviations: Annotated[float, Meta(ge=0)] = 1.0
    _index: PrefixIndex = field(default_factory=PrefixIndex, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        self._index.observe(fact, view)

    def route(self, request: Request, view: View) -> Instance | None:
        if request.prefix:
            loads = np.fromiter((i.load for i in view.ready(request.model)), np.float64)
            if len(loads) and loads.max() - loads.min() < self.imbalance:
                limit = loads.mean() + self.deviations * loads.std()
                for instance, _ in holders(request, view, self._index):
                    if instance.load <= limit:
                        return instance
        return next(iter(candidates(request, view, 1)), None)


class Window:
    """Work given to each instance in the last so many seconds, as believed when it was given."""

    def __init__(self) -> None:
        self._given: dict[InstanceId, deque[tuple[float, float]]] = {}
        self._total_s: dict[InstanceId, float] = {}

    def give(self, instance: InstanceId, at: float, work_s: float) -> None:
        self._given.setdefault(instance, deque()).append((at, work_s))
        self._total_s[instance] = self._total_s.get(instance, 0.0) + work_s

    def total_s(self, instance: InstanceId, since: float) -> float:
        given = self._given.get(instance)
        if given is None:
            return 0.0
        while given and given[0][0] < since:
            self._total_s[instance] -= given.popleft()[1]
        if not given:
            self.drop(instance)
            return 0.0
        return self._total_s[instance]

    def drop(self, instance: InstanceId) -> None:
        self._given.pop(instance, None)
        self._total_s.pop(instance, None)


@dataclass(frozen=True)
class Preble:
    """Exploit a long match, otherwise explore by cost (Preble's E2).

    If matched tokens / prompt > `exploit_above`, the instance with the longest match serves, the
    cheapest of equal ones. Otherwise the least cost L + P: L is the work given to the instance in
    the last `window_s` (prefill of what was not cached, and mean output * seconds a token), P the
    prefill of what this prompt lacks there.
    """

    source: ClassVar[str] = "Preble, arXiv 2407.00023, section 3.3 (E2)"
    departs: ClassVar[str] = (
        "Without the cost of evicting cached prompts (M), later rebalancing and autoscaling of "
        "prefixes. Cost is compared over the 64 least loaded instances and the 64 longest matches."
    )
    observes: ClassVar = WATCHED

    exploit_above: Annotated[float, Meta(ge=0, le=1)] = 0.5
    window_s: Annotated[float, Meta(gt=0)] = 180.0
    _index: PrefixIndex = field(default_factory=PrefixIndex, init=False, repr=False, compare=False)
    _work: Window = field(default_factory=Window, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        match fact:
            case Dispatch():
                self._given(fact, view)
            case e.NodeLost():
                for instance in view.on_node(fact.node):
                    self._work.drop(instance.id)
            case _:
                self._work.drop(fact.instance)
        self._index.observe(fact, view)

    def _given(self, dispatch: Dispatch, view: View) -> None:
        flight = view.flight(dispatch.request)
        if flight is None:
            return
        request, instance = flight.request, view.instance(dispatch.instance)
        pace = view.estimates.pace(request.model, view.node(instance.node).kind)
        decode_s = view.estimates.output_tokens(request.model) * pace.decode_s_per_token
        lacks_s = self._lacks_s(request, instance, view)
        self._work.give(instance.id, view.now, lacks_s + decode_s)

    def _lacks_s(self, request: Request, instance: Instance, view: View) -> float:
        """Prefill of what the instance is not believed to hold of the prompt."""
        blocks = self._index.matched(keys(request, self._index.most_blocks), instance.id)
        pace = view.estimates.pace(request.model, view.node(instance.node).kind)
        missing = request.prompt_tokens - blocks * request.block_tokens
        return max(0, missing) * pace.prefill_s_per_token

    def _cost_s(self, request: Request, instance: Instance, view: View) -> float:
        given_s = self._work.total_s(instance.id, view.now - self.window_s)
        return given_s + self._lacks_s(request, instance, view)

    def _cheapest(
        self, request: Request, instances: Iterable[Instance], view: View
    ) -> Instance | None:
        return min(
            instances, key=lambda i: (self._cost_s(request, i, view), i.load, i.id), default=None
        )

    def route(self, request: Request, view: View) -> Instance | None:
        held = holders(request, view, self._index) if request.prefix else []
        if held:
            longest = held[0][1]
            if longest * request.block_tokens > self.exploit_above * request.prompt_tokens:
                return self._cheapest(request, [i for i, n in held if n == longest], view)
        others = candidates(request, view)
        known = {i.id: i for i in others} | {i.id: i for i, _ in held}
        return self._cheapest(request, known.values(), view)
