"""Routing by tenant: who used much goes elsewhere than who used little."""

from dataclasses import dataclass, field
from math import exp, inf
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import Request, TenantId
from fleet.holders import Instance
from fleet.view import View
from policies.routing.candidates import MOST, candidates, takes


@dataclass
class Middle:
    """Half way between the least and the most that a tenant used, as of `at`."""

    tokens: float = 0.0
    at: float = -inf


@dataclass(frozen=True)
class VtcBasic:
    """Tenants by their tokens along the instances: light ones at the first, heavy ones further on.

    The least `fairness_weight` * |place - t| + `utilisation_weight` * min(load / `most_load`, 1) +
    U(0, `noise`), with t = tokens of the tenant / bucket, at most the last place; bucket =
    max(`least_bucket`, (min + max) / 2) over tenants seen in the window. Tokens are prompt +
    `output_weight` * output, with weights that fall by 1/e every `window_s`. Places are in the
    order of the instances' ids.
    """

    source: ClassVar[str] = "AIBrix, pkg/plugins/gateway/algorithms/vtc/vtc_basic.go"
    departs: ClassVar[str] = (
        "AIBrix's window has a sharp end. Least and most are looked up once a second. Of more than "
        "64 instances, the 64 nearest to the place t are compared."
    )
    observes: ClassVar = (Dispatch, e.RequestFinished)

    fairness_weight: Annotated[float, Meta(ge=0)] = 0.5
    utilisation_weight: Annotated[float, Meta(ge=0)] = 0.5
    output_weight: Annotated[float, Meta(ge=0)] = 2.0
    window_s: Annotated[float, Meta(gt=0)] = 300.0
    least_bucket: Annotated[float, Meta(gt=0)] = 1000.0
    most_load: Annotated[float, Meta(gt=0)] = 100.0
    noise: Annotated[float, Meta(ge=0)] = 0.1
    #: By tenant: tokens, and when they were last brought up to date.
    _used: dict[TenantId, tuple[float, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    _middle: Middle = field(default_factory=Middle, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        flight = view.flight(fact.request)
        if flight is None:
            return
        request = flight.request
        if isinstance(fact, Dispatch):
            self._use(request.tenant, request.prompt_tokens, view.now)
        elif flight.command == fact.command:
            self._use(request.tenant, self.output_weight * fact.tokens, view.now)

    def _use(self, tenant: TenantId, tokens: float, now: float) -> None:
        self._used[tenant] = self.tokens(tenant, now) + tokens, now

    def tokens(self, tenant: TenantId, now: float) -> float:
        """Weighted tokens of about the last `window_s`."""
        tokens, at = self._used.get(tenant, (0.0, now))
        return tokens * exp((at - now) / self.window_s)

    def place(self, tenant: TenantId, view: View) -> float:
        """Where along the instances a tenant belongs, from 0 on."""
        now, middle = view.now, self._middle
        if now >= middle.at + 1.0 and self._used:
            used = {each: self.tokens(each, now) for each in self._used}
            middle.tokens, middle.at = (min(used.values()) + max(used.values())) / 2.0, now
            for gone in [each for each, tokens in used.items() if tokens < 1.0]:
                del self._used[gone]
        return self.tokens(tenant, now) / max(self.least_bucket, middle.tokens)

    def route(self, request: Request, view: View) -> Instance | None:
        ready = view.ready(request.model)
        if not ready.has_slot():
            return None
        instances = sorted(ready, key=lambda i: i.id)
        t = min(self.place(request.tenant, view), len(instances) - 1.0)
        first = max(0, min(round(t) - MOST // 2, len(instances) - MOST))
        stream = view.stream("vtc_basic")
        best: tuple[float, Instance] | None = None
        for place, instance in enumerate(instances[first : first + MOST], first):
            if takes(instance, request):
                load = self.utilisation_weight * min(instance.load / self.most_load, 1.0)
                score = self.fairness_weight * abs(place - t) + load
                score += self.noise * stream.random()
                if best is None or score < best[0]:
                    best = score, instance
        return best[1] if best else next(iter(candidates(request, view, 1)), None)
