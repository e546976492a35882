"""Routing by how much KV cache instances have left, as believed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from fleet.domain import Request
from fleet.holders import Instance
from fleet.view import View
from policies.routing.candidates import candidates


@dataclass(frozen=True)
class Freeness:
    """Dispatch to the highest freeness F = (M - usage) / n: KV tokens left per request.

    M: tokens that fit in the instance's KV cache; n: its requests, at least 1. Usage, "code": the
    believed tokens of all its requests, what does not fit and waits in its engine included.
    "paper" (virtual usage): what fits, one mean prompt for the head of what waits, and
    `headroom_tokens` on an instance with a request of a priority above 0, so that ordinary ones
    stay away from it.
    """

    source: ClassVar[str] = "Llumnix, OSDI'24, section 4.4; llumnix/load_computation.py"
    departs: ClassVar[str] = (
        "Tokens stand for blocks, and are the controller's belief. Of more than 64 instances, the "
        "64 with the fewest requests are compared. The released code has no priorities."
    )

    variant: Literal["paper", "code"] = "paper"
    headroom_tokens: Annotated[int, Meta(ge=0)] = 1600

    def route(self, request: Request, view: View) -> Instance | None:
        found = candidates(request, view)
        scored = sorted(
            ((self._freeness(i, view), -place, i) for place, i in enumerate(found)), reverse=True
        )
        if self.variant == "code" or request.priority > 0:
            return scored[0][2] if scored else None
        return self._beside_urgent(scored)

    def _freeness(self, instance: Instance, view: View) -> float:
        fits, used = view.kv_tokens(instance), view.context_tokens(instance)
        if self.variant == "paper" and used > fits:
            used = fits + instance.prompt_tokens / max(1, len(instance.running))
        return (fits - used) / max(1, instance.load)

    def _beside_urgent(self, scored: list[tuple[float, int, Instance]]) -> Instance | None:
        """The best once headroom is taken off; it only lowers, so that most are not looked at."""
        best: tuple[float, Instance] | None = None
        for freeness, _, instance in scored:
            if best is not None and freeness <= best[0]:
                break
            urgent = any(f.request.priority > 0 for f in instance.running.values())
            left = freeness - (self.headroom_tokens / max(1, instance.load) if urgent else 0.0)
            if best is None or left > best[0]:
                best = left, instance
        return None if best is None else best[1]
