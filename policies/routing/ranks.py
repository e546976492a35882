"""Routing by ranks: what an adapter adds to the steps of those that run beside it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from fleet.domain import Request
from fleet.holders import Instance
from fleet.view import View
from policies.routing.candidates import candidates


@dataclass(frozen=True)
class Toppings:
    """Least added time: (dPre / mean output + dDec) * requests there, if steps stay within bounds.

    Dec = time per token as believed + adapters' part: `mbgmv_s_per_rank` * sum of ranks with the
    kernel "mbgmv", `bgmv_s_per_rank` * requests * largest rank with "bgmv". dDec is what the
    request adds to Dec; dPre, its own prefill. One where Dec would exceed `tpot_slo_s` is taken
    only if all are such. Among at most 64 ready instances that hold the adapter; where none does,
    among those that can get it.
    """

    source: ClassVar[str] = "Toppings (CaraServe), USENIX ATC'25, section 5: rank-aware scheduling"
    departs: ClassVar[str] = (
        "What waits in an instance for its prefill is not seen, so dPre is the request's own; "
        "prefill is not helped by the CPU."
    )

    kernel: Literal["mbgmv", "bgmv"] = "mbgmv"
    mbgmv_s_per_rank: Annotated[float, Meta(ge=0)] = 3e-6
    bgmv_s_per_rank: Annotated[float, Meta(ge=0)] = 3e-6
    tpot_slo_s: Annotated[float, Meta(gt=0)] = 0.2

    def route(self, request: Request, view: View) -> Instance | None:
        found = candidates(request, view)
        if request.adapter is None or not found:
            return found[0] if found else None
        rank = view.adapter(request.adapter).rank
        return min(found, key=lambda i: (*self._score(i, request, rank, view), i.load, i.id))

    def _score(
        self, instance: Instance, request: Request, rank: int, view: View
    ) -> tuple[bool, float]:
        """Whether steps would be too long, and the added time for all."""
        pace = view.estimates.pace(request.model, view.node(instance.node).kind)
        requests, total, largest = ranks(instance, view)
        before_s = self._adapters_s(requests, total, largest)
        after_s = self._adapters_s(requests + 1, total + rank, max(largest, rank))
        prefill_s = request.prompt_tokens * pace.prefill_s_per_token
        added_s = prefill_s / view.estimates.output_tokens(request.model) + after_s - before_s
        too_slow = pace.decode_s_per_token + after_s > self.tpot_slo_s
        return too_slow, added_s * instance.load

    def _adapters_s(self, requests: int, total: int, largest: int) -> float:
        if self.kernel == "mbgmv":
            return self.mbgmv_s_per_rank * total
        return self.bgmv_s_per_rank * requests * largest


def ranks(instance: Instance, view: View) -> tuple[int, int, int]:
    """Requests with an adapter there, the sum of their ranks, and the largest."""
    requests, total, largest = 0, 0, 0
    for entry in instance.adapters.entries.values():
        adapter = view.known_adapter(entry.artifact)
        if entry.pins and adapter is not None:
            requests += entry.pins
            total += entry.pins * adapter.rank
            largest = max(largest, adapter.rank)
    return requests, total, largest


@dataclass(frozen=True)
class RankTable:
    """The least loaded that holds the adapter; else where the attached ranks are nearest to its.

    The table by which LoRAServe routes is here what is attached: the upkeep `loraserve` puts
    adapters of like ranks together. Distance: |rank - mean rank of what is attached|, 0 where
    nothing is. Among at most 64 ready instances.
    """

    source: ClassVar[str] = "LoRAServe, arXiv 2511.22880: routing by a table of placements"
    departs: ClassVar[str] = "An adapter on several instances goes to the least loaded, unweighted."

    def route(self, request: Request, view: View) -> Instance | None:
        found = candidates(request, view)
        if not found:
            return None
        adapter = request.adapter
        if adapter is None or found[0].has(adapter):
            return found[0]
        rank = view.adapter(adapter).rank
        return min(found, key=lambda i: (distance(i, rank, view), i.load, i.id))


def distance(instance: Instance, rank: int, view: View) -> float:
    """How far the rank is from those attached, or on their way, on the mean."""
    there = mean_rank(instance, view)
    return 0.0 if there is None else abs(rank - there)


def mean_rank(instance: Instance, view: View) -> float | None:
    """Of the adapters attached there or on their way; None where there is none."""
    known = (view.known_adapter(artifact) for artifact in instance.adapters.entries)
    there = [adapter.rank for adapter in known if adapter is not None]
    return sum(there) / len(there) if there else None
