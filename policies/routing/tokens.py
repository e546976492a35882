"""Routing by the tokens that instances have lately read and written."""

from dataclasses import dataclass, field
from math import exp
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import InstanceId, Request
from fleet.holders import Instance
from fleet.view import View
from policies.routing.candidates import candidates


@dataclass(frozen=True)
class LeastTokens:
    """The instance with the least prompt_weight * prompt tokens + generated tokens, a minute.

    Prompts count when they are sent, output when a request ends, both averaged with weights that
    fall by 1/e every `window_s`. Of equal ones the least loaded serves.
    """

    source: ClassVar[str] = "AIBrix, pkg/plugins/gateway/algorithms/throughput.go"
    departs: ClassVar[str] = (
        "AIBrix reads both rates off the engines. Of more than 64 instances, the 64 with the "
        "fewest requests are compared."
    )
    observes: ClassVar = (Dispatch, e.RequestFinished, e.InstanceStopped, e.InstanceLost)

    prompt_weight: Annotated[float, Meta(ge=0)] = 2.0
    window_s: Annotated[float, Meta(gt=0)] = 60.0
    #: By instance: weighted tokens, and when they were last brought up to date.
    _seen: dict[InstanceId, tuple[float, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def observe(self, fact: Any, view: View) -> None:
        match fact:
            case Dispatch():
                flight = view.flight(fact.request)
                tokens = 0 if flight is None else flight.request.prompt_tokens
                self._add(fact.instance, self.prompt_weight * tokens, view.now)
            case e.RequestFinished():
                if fact.instance in self._seen:
                    self._add(fact.instance, fact.tokens, view.now)
            case _:
                self._seen.pop(fact.instance, None)

    def _add(self, instance: InstanceId, tokens: float, now: float) -> None:
        self._seen[instance] = self.tokens(instance, now) + tokens, now

    def tokens(self, instance: InstanceId, now: float) -> float:
        """Weighted tokens of about the last `window_s`."""
        tokens, at = self._seen.get(instance, (0.0, now))
        return tokens * exp((at - now) / self.window_s)

    def route(self, request: Request, view: View) -> Instance | None:
        found = candidates(request, view)
        return min(found, key=lambda i: self.tokens(i.id, view.now), default=None)
