"""Deficit longest prefix match: what is cached first, within each tenant's quantum."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from math import floor
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import Request, TenantId
from fleet.lanes import Lane, Lanes
from fleet.view import View
from policies.routing.prefix_index import WATCHED, PrefixIndex, keys


@dataclass(frozen=True)
class DeficitLongestPrefix:
    """The longest cached prefix among tenants whose deficit is above 0.

    A request costs its tenant `input_weight` * prompt tokens that the instance is not believed to
    hold when it is sent, and `output_weight` * output tokens at its end. Where no tenant that waits
    is above 0, each of them gets as many `quantum_tokens` as bring the first above it. A large
    quantum gives locality, a small one fairness.
    """

    source: ClassVar[str] = "DLPM, Cao et al., arXiv 2501.14312, algorithm 1"
    departs: ClassVar[str] = (
        "The match is with what was sent to any instance; routing decides whether it goes there. "
        "At most `most` lanes are compared at a time."
    )
    observes: ClassVar = (*WATCHED, e.RequestFinished)

    quantum_tokens: Annotated[float, Meta(gt=0)] = 10_000.0
    input_weight: Annotated[float, Meta(ge=0)] = 1.0
    output_weight: Annotated[float, Meta(ge=0)] = 2.0
    most: Annotated[int, Meta(ge=1)] = 256
    _deficits: dict[TenantId, float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _index: PrefixIndex = field(default_factory=PrefixIndex, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        if isinstance(fact, e.RequestFinished):
            flight = view.flight(fact.request)
            if flight is not None and flight.command == fact.command:
                self._charge(flight.request.tenant, self.output_weight * fact.tokens)
            return
        if isinstance(fact, Dispatch):
            flight = view.flight(fact.request)
            if flight is not None:
                request = flight.request
                held = self._index.matched(keys(request, self._index.most_blocks), fact.instance)
                missing = max(0, request.prompt_tokens - held * request.block_tokens)
                self._charge(request.tenant, self.input_weight * missing)
        self._index.observe(fact, view)

    def _charge(self, tenant: TenantId, tokens: float) -> None:
        self._deficits[tenant] = self._deficits.get(tenant, 0.0) - tokens

    def _cached(self, request: Request) -> int:
        """Tokens of its prompt that some instance is believed to hold."""
        blocks = keys(request, self._index.most_blocks)
        return self._index.deepest(blocks) * request.block_tokens

    def next(self, lanes: Lanes, view: View) -> Lane | None:
        waiting = list(islice(lanes, self.most))
        if not waiting:
            return None
        self._refill({lane.tenant: None for lane in waiting})
        open_lanes = [lane for lane in waiting if self._deficits[lane.tenant] > 0.0]
        return min(open_lanes, key=self._order)

    def _order(self, lane: Lane) -> tuple[int, float, int]:
        head = lane.flights[0].request
        return -self._cached(head), head.arrived_at, head.id

    def _refill(self, tenants: Iterable[TenantId]) -> None:
        deficits = self._deficits
        for tenant in tenants:
            deficits.setdefault(tenant, 0.0)
        most = max(deficits[tenant] for tenant in tenants)
        if most <= 0.0:
            quanta = floor(-most / self.quantum_tokens) + 1
            for tenant in tenants:
                deficits[tenant] += quanta * self.quantum_tokens
