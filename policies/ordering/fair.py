"""Virtual token counters: the tenant that was served least is next."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import Request, RequestId, TenantId
from fleet.lanes import Lane, Lanes
from fleet.needs import Need, Needs
from fleet.view import View

#: What counters are kept from.
COUNTED: Final = (e.RequestArrived, Dispatch, e.RequestFinished, e.RequestFailed)


class Counters:
    """Service by tenant, in weighted tokens, over the whole fleet."""

    def __init__(self) -> None:
        self.served: dict[TenantId, float] = {}
        self._waiting: dict[TenantId, dict[RequestId, None]] = {}
        self._expected: dict[RequestId, float] = {}  # output charged before it was written
        self._last = TenantId(0)

    def arrived(self, request: Request, view: View) -> None:
        """A tenant with nothing in the queue is lifted: idle time earns no credit."""
        tenant = request.tenant
        if not self._waits(tenant, view):
            others = [self.of(t) for t in list(self._waiting) if self._waits(t, view)]
            floor = min(others) if others else self.of(self._last)
            self.served[tenant] = max(self.of(tenant), floor)
        self._waiting.setdefault(tenant, {})[request.id] = None

    def _waits(self, tenant: TenantId, view: View) -> bool:
        """Whether anything of it is queued; forgets what is not any more."""
        mine = self._waiting.get(tenant, {})
        for number in list(mine):
            flight = view.flight(number)
            if flight is not None and flight.instance is None:
                return True
            del mine[number]
        self._waiting.pop(tenant, None)
        return False

    def of(self, tenant: TenantId) -> float:
        return self.served.get(tenant, 0.0)

    def sent(self, request: Request, prompt: float, expected: float) -> None:
        """Charged when it is sent; a second time only for its prompt."""
        again = self._expected.pop(request.id, 0.0)
        self._expected[request.id] = expected
        self.served[request.tenant] = self.of(request.tenant) + prompt + expected - again
        self._waiting.get(request.tenant, {}).pop(request.id, None)
        self._last = request.tenant

    def ended(self, request: Request, output: float) -> None:
        """What was expected becomes what was written."""
        expected = self._expected.pop(request.id, 0.0)
        self.served[request.tenant] = self.of(request.tenant) + output - expected


@dataclass(frozen=True)
class Weighed:
    """What a token counts, and the counters."""

    observes: ClassVar = COUNTED

    input_weight: Annotated[float, Meta(ge=0)] = 1.0
    output_weight: Annotated[float, Meta(ge=0)] = 2.0
    predict: bool = True
    counters: Counters = field(default_factory=Counters, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        if isinstance(fact, e.RequestArrived):
            self.counters.arrived(fact.request, view)
            return
        flight = view.flight(fact.request)
        if flight is None:
            return
        request = flight.request
        if isinstance(fact, Dispatch):
            tokens = view.estimates.output_tokens(request.model) if self.predict else 0.0
            prompt = self.input_weight * request.prompt_tokens
            self.counters.sent(request, prompt, self.output_weight * tokens)
        elif flight.command == fact.command:
            tokens = fact.tokens if isinstance(fact, e.RequestFinished) else 0
            self.counters.ended(request, self.output_weight * tokens)

    def least(self, lanes: Iterable[Lane]) -> float:
        """The least service of a tenant in these lanes; inf if there is none."""
        return min((self.counters.of(lane.tenant) for lane in lanes), default=inf)


@dataclass(frozen=True)
class VirtualTokenCounter(Weighed):
    """The oldest request of the tenant with the least service.

    Service: `input_weight` * prompt tokens when a request is sent, `output_weight` * output tokens.
    A tenant that arrives at an empty queue of its own is lifted to the least counter of those who
    wait, or to that of the last one served. With `predict`, the mean output is charged in advance
    and put right at the end; without, output counts only at the end.
    """

    source: ClassVar[str] = "VTC, Sheng et al., OSDI'24, algorithm 2 and section 4.4 (prediction)"
    departs: ClassVar[str] = (
        "Counters are of the whole fleet, not of one server, and rise when a request ends, not "
        "with each token. A request that fails is charged its prompt only."
    )

    def next(self, lanes: Lanes, view: View) -> Lane | None:
        def order(lane: Lane) -> tuple[float, float, int]:
            head = lane.flights[0].request
            return self.counters.of(lane.tenant), head.arrived_at, head.id

        return min(lanes, key=order, default=None)


@dataclass(frozen=True)
class LeastServedNeed(Weighed):
    """The model that the tenant with the least service waits for, then the oldest need.

    Counters as in `VirtualTokenCounter`.
    """

    source: ClassVar[str] = "after VTC, Sheng et al., OSDI'24"
    departs: ClassVar[str] = (
        "The paper has one model. At most `most` unmet needs are compared at a time."
    )

    most: Annotated[int, Meta(ge=1)] = 256

    def next(self, needs: Needs, view: View) -> Need | None:
        return min(
            islice(needs, self.most),
            key=lambda n: (self.least(view.lanes(n.model.id)), n.since, n.model.id),
            default=None,
        )
