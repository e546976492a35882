"""Filter, score, pick: a routing put together from small parts, with the filters and pickers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import Request
from fleet.holders import Instance
from fleet.policy import Waiver
from fleet.view import View
from policies.routing.scorers import KvScorer, PrefixScorer, QueueScorer, used_share
from policies.routing.scoring import Filter, Picker, Scorer, open_to


@dataclass(frozen=True)
class LowQueue:
    """Instances with at most `most` requests."""

    source: ClassVar[str] = "Gateway API inference extension: the low-queue filter"

    most: Annotated[int, Meta(ge=0)] = 128

    def sift(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[Instance]:
        return [i for i in instances if i.load <= self.most]


@dataclass(frozen=True)
class LowKv:
    """Instances that hold at most `most` of their KV cache, as believed."""

    source: ClassVar[str] = "Gateway API inference extension: kvCacheThreshold"

    most: Annotated[float, Meta(ge=0, le=1)] = 0.8

    def sift(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[Instance]:
        return [i for i in instances if used_share(i, view) <= self.most]


@dataclass(frozen=True)
class MaxScore:
    """The highest score; of equal ones the first, which is the least loaded."""

    source: ClassVar[str] = "llm-d inference scheduler: max-score-picker"
    departs: ClassVar[str] = "llm-d draws among equal scores."

    def pick(self, instances: Sequence[Instance], scores: Sequence[float], view: View) -> Instance:
        return instances[max(range(len(scores)), key=scores.__getitem__)]


@dataclass(frozen=True)
class WeightedRandom:
    """Drawn, each with a probability in proportion to its score; evenly if all are 0."""

    source: ClassVar[str] = "llm-d inference scheduler: weighted-random-picker"

    def pick(self, instances: Sequence[Instance], scores: Sequence[float], view: View) -> Instance:
        weights = scores if sum(scores) > 0.0 else [1.0] * len(scores)
        return view.stream("weighted_random").choices(instances, weights)[0]


def _prefix_queue_kv() -> tuple[Scorer, ...]:
    """llm-d's defaults, 3 : 2 : 2. Made anew for each routing: a scorer may remember."""
    return PrefixScorer(), QueueScorer(), KvScorer()


@dataclass(frozen=True)
class FilterScore:
    """Filters leave instances out, scorers add weight * score, a picker takes one.

    A filter that leaves nobody is passed over. Without an adapter attached where the picked one is,
    it is attached first; the `lora_affinity` scorer speaks for those that have it.
    """

    source: ClassVar[str] = "llm-d inference scheduler (EPP); Gateway API inference extension"
    departs: ClassVar[str] = (
        "Of more than 64 instances, the 64 with the fewest requests and the 64 with the longest "
        "prefix match are scored."
    )
    waives: ClassVar = (Waiver.BLIND_TO_ADAPTERS,)

    filters: tuple[Filter, ...] = ()
    scorers: tuple[Scorer, ...] = field(default_factory=_prefix_queue_kv)
    picker: Picker = field(default_factory=MaxScore)

    def route(self, request: Request, view: View) -> Instance | None:
        instances: Sequence[Instance] = open_to(request, view, self.scorers)
        for each in self.filters:
            instances = each.sift(request, instances, view) or instances
        if not instances:
            return None
        totals = [0.0] * len(instances)
        for scorer in self.scorers:
            scores = scorer.scores(request, instances, view)
            totals = [t + scorer.weight * s for t, s in zip(totals, scores, strict=True)]
        return self.picker.pick(instances, totals, view)
