"""What a routing of filters, scorers and a picker is made of. It knows none of the parts."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from fleet.domain import Request
from fleet.holders import Instance
from fleet.view import View
from policies.routing.candidates import MOST


class Filter(Protocol):
    def sift(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[Instance]:
        """Those that may serve, in the same order. None left: the filter is passed over."""


class Scorer(Protocol):
    @property
    def weight(self) -> float:
        """What its scores are multiplied by before they are added to others'."""

    def scores(
        self, request: Request, instances: Sequence[Instance], view: View
    ) -> Sequence[float]:
        """From 0 to 1 for each instance, in order: more is better."""


class Picker(Protocol):
    def pick(self, instances: Sequence[Instance], scores: Sequence[float], view: View) -> Instance:
        """One of the instances; there is one at least."""


@runtime_checkable
class Nominates(Protocol):
    """A scorer that knows instances worth scoring beyond the least loaded."""

    def nominated(self, request: Request, view: View) -> Sequence[Instance]: ...


def open_to(request: Request, view: View, scorers: Sequence[Scorer]) -> list[Instance]:
    """The 64 least loaded that have a slot and could serve the adapter, then scorers' own."""
    adapter = request.adapter
    found: dict[int, Instance] = {}
    for instance in view.ready(request.model):
        if instance.load >= instance.slots or len(found) == MOST:
            break
        if adapter is None or instance.can_take(adapter):
            found[instance.id] = instance
    for scorer in scorers if found else ():
        if isinstance(scorer, Nominates):
            for instance in scorer.nominated(request, view):
                found.setdefault(instance.id, instance)
    return list(found.values())
