"""Who is let in. Asked once, when a request arrives."""

from dataclasses import dataclass

from fleet.domain import Request
from fleet.policy import Admission, Refuse
from fleet.view import View


@dataclass(frozen=True)
class AdmitAll:
    """Take every request; only the limits of the run turn one away."""

    def admit(self, request: Request, view: View) -> Refuse | None:
        return None


@dataclass(frozen=True)
class BoundedHold:
    """Hold at most `most_held` requests a model while they wait; refuse the rest with a hint.

    The hint is the believed time until the queue has drained: its length times the mean output
    length times the time of a token, over the slots of the model's instances.
    Asked for by operators against thundering herds on a cold model (volcano-sh/kthena#1019).
    """

    most_held: int = 64

    def admit(self, request: Request, view: View) -> Refuse | None:
        queued = view.queued(request.model)
        if queued < self.most_held:
            return None
        return Refuse("queue_full", self._drained_s(request, queued, view))

    def _drained_s(self, request: Request, queued: int, view: View) -> float:
        spec = view.model(request.model)
        instances = max(1, len(view.ready(request.model)) + view.starting(request.model))
        pace = view.estimates.pace(request.model, view.nodes.specs[0].kind)
        service_s = view.estimates.output_tokens(request.model) * pace.decode_s_per_token
        return service_s * queued / (instances * spec.max_sequences)


@dataclass(frozen=True)
class Gate:
    """Several admissions in a row: the first refusal wins."""

    admissions: tuple[Admission, ...] = (AdmitAll(),)

    def admit(self, request: Request, view: View) -> Refuse | None:
        for admission in self.admissions:
            refusal = admission.admit(request, view)
            if refusal is not None:
                return refusal
        return None
