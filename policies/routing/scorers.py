"""Scorers: what speaks for an instance, from 0 to 1. Each sees one thing and has a weight."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet.commands import Dispatch
from fleet.domain import InstanceId, Request
from fleet.holders import Instance
from fleet.pools import Stay
from fleet.view import View
from policies.routing.prefix_index import WATCHED, PrefixIndex, keys
from policies.routing.prefixes import holders

Weight = Annotated[float, Meta(ge=0)]
SOURCE = "llm-d inference scheduler, pkg/epp/framework/plugins/scheduling/scorer"


def used_share(instance: Instance, view: View) -> float:
    """Believed share of the KV cache that its requests hold; 0 for a model without KV cache."""
    fits = view.kv_tokens(instance)
    return min(1.0, view.context_tokens(instance) / fits) if fits else 1.0


@dataclass(frozen=True)
class QueueScorer:
    """(max - q) / (max - min) of the requests q on each instance; 1 for all if they are equal."""

    source: ClassVar[str] = SOURCE
    departs: ClassVar[str] = "Requests on an instance: which of them its engine runs is not known."

    weight: Weight = 2.0

    def scores(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[float]:
        loads = [i.load for i in instances]
        most, least = max(loads), min(loads)
        return [(most - load) / (most - least) if most > least else 1.0 for load in loads]


@dataclass(frozen=True)
class KvScorer:
    """1 - the believed share of the KV cache in use."""

    source: ClassVar[str] = SOURCE

    weight: Weight = 2.0

    def scores(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[float]:
        return [1.0 - used_share(i, view) for i in instances]


@dataclass(frozen=True)
class PrefixScorer:
    """The share of the prompt's blocks that were sent to the instance before."""

    source: ClassVar[str] = SOURCE
    departs: ClassVar[str] = "The 64 instances with the longest match are scored, not all."
    observes: ClassVar = WATCHED

    weight: Weight = 3.0
    _index: PrefixIndex = field(default_factory=PrefixIndex, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        self._index.observe(fact, view)

    def nominated(self, request: Request, view: View) -> Sequence[Instance]:
        return [i for i, _ in holders(request, view, self._index)] if request.prefix else ()

    def scores(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[float]:
        blocks = keys(request, self._index.most_blocks)
        if not blocks:
            return [0.0] * len(instances)
        return [self._index.matched(blocks, i.id) / len(blocks) for i in instances]


@dataclass(frozen=True)
class LoraAffinityScorer:
    """1.0 where the adapter is attached, else 0.8 with a free adapter slot, else 0.6 on its way.

    0 where neither is so, and 1.0 everywhere for a request without an adapter.
    """

    source: ClassVar[str] = SOURCE

    weight: Weight = 1.0

    def scores(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[float]:
        return [self._score(request, i) for i in instances]

    def _score(self, request: Request, instance: Instance) -> float:
        adapter = request.adapter
        if adapter is None or instance.has(adapter):
            return 1.0
        if instance.adapters.free > 0:
            return 0.8
        entry = instance.adapters.entries.get(adapter)
        return 0.6 if entry is not None and entry.stay is Stay.COMING else 0.0


@dataclass(frozen=True)
class LoadAwareScorer:
    """0.5 * (1 - min(q, T) / T) of the requests q on an instance; T is `threshold`."""

    source: ClassVar[str] = SOURCE

    weight: Weight = 1.0
    threshold: Annotated[int, Meta(ge=1)] = 128

    def scores(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[float]:
        return [0.5 * (1.0 - min(i.load, self.threshold) / self.threshold) for i in instances]


@dataclass(frozen=True)
class NoHitLruScorer:
    """Spreads prompts that are cached nowhere: first who was given none of them, then by turns.

    The k-th in that order of n instances scores 1 - k / (n - 1), from 0 on; who got such a prompt
    longest ago comes first. 0.5 everywhere for a prompt with a match.
    """

    source: ClassVar[str] = SOURCE
    observes: ClassVar = WATCHED

    weight: Weight = 1.0
    _index: PrefixIndex = field(default_factory=PrefixIndex, init=False, repr=False, compare=False)
    _given: dict[InstanceId, None] = field(  # a prompt without a match, longest ago first
        default_factory=dict, init=False, repr=False, compare=False
    )

    def observe(self, fact: Any, view: View) -> None:
        if isinstance(fact, Dispatch):
            flight = view.flight(fact.request)
            if flight is not None and self._cold(flight.request):
                self._given.pop(fact.instance, None)
                self._given[fact.instance] = None
        self._index.observe(fact, view)

    def _cold(self, request: Request) -> bool:
        return not self._index.longest(keys(request, self._index.most_blocks), 1)

    def scores(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[float]:
        if not self._cold(request):
            return [0.5] * len(instances)
        numbers = [i.id for i in instances]
        order = [n for n in numbers if n not in self._given]
        among = set(numbers)
        order += [n for n in self._given if n in among]
        last = max(1, len(order) - 1)
        score = {number: 1.0 - turn / last for turn, number in enumerate(order)}
        return [score[number] for number in numbers]
