"""Who is let in. Asked once, when a request arrives."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import Request
from fleet.policy import Admission, Refuse
from fleet.view import View


@dataclass(frozen=True)
class AdmitAll:
    """Take every request; only the limits of the run turn one away."""

    source: ClassVar[str] = "the default of vLLM, Ray Serve and ServerlessLLM"

    def admit(self, request: Request, view: View) -> Refuse | None:
        return None


@dataclass(frozen=True)
class BoundedHold:
    """Hold at most `most_held` requests a model while they wait; refuse the rest with a hint.

    The hint (Retry-After, seconds) is the believed time until the queue has drained:
    queued * mean output tokens * seconds a token / slots of the model's instances, starting ones
    included; loading is not counted. Asked for by operators against thundering herds on a cold
    model (volcano-sh/kthena#1019).
    """

    source: ClassVar[str] = "volcano-sh/kthena#1019; Retry-After as in RFC 9110, section 10.2.3"

    most_held: Annotated[int, Meta(ge=0)] = 64

    def admit(self, request: Request, view: View) -> Refuse | None:
        if view.queued(request.model) < self.most_held:
            return None
        return Refuse("queue_full", self._drained_s(request, view))

    def _drained_s(self, request: Request, view: View) -> float | None:
        model = request.model
        if not len(view.nodes):
            return None
        ready = view.ready(model).least()
        kind = view.nodes.specs[0].kind if ready is None else view.node(ready.node).kind
        pace = view.estimates.pace(model, kind)
        service_s = view.estimates.output_tokens(model) * pace.decode_s_per_token
        instances = max(1, len(view.ready(model)) + view.starting(model))
        return service_s * view.queued(model) / (instances * view.model(model).max_sequences)


@dataclass(frozen=True)
class Gate:
    """Several admissions in a row: the first refusal wins."""

    source: ClassVar[str] = "hotbed's own: admissions in a row, as filters in an HTTP server"

    admissions: tuple[Admission, ...] = (AdmitAll(),)

    def admit(self, request: Request, view: View) -> Refuse | None:
        for admission in self.admissions:
            refusal = admission.admit(request, view)
            if refusal is not None:
                return refusal
        return None
