"""Ready instances that could take a request now, a bounded number of them, least loaded first.

It ranks nothing and keeps nothing: which of them serves is a routing policy's choice.
"""

from typing import Final

from fleet.domain import Request
from fleet.holders import Instance
from fleet.view import View

#: As many are ranked by rules that would rank them all: a decision stays below a millisecond.
MOST: Final = 64


def takes(instance: Instance, request: Request) -> bool:
    """Whether it has a slot for the request, and its adapter attached."""
    adapter = request.adapter
    return instance.load < instance.slots and (adapter is None or instance.has(adapter))


def candidates(request: Request, view: View, most: int = MOST) -> list[Instance]:
    """With a free slot and the request's adapter; where nobody has that, those that could get it.

    At most `most` of them, the least loaded. Empty if the request must wait.
    """
    adapter = request.adapter
    having: list[Instance] = []
    able: list[Instance] = []
    for instance in view.ready(request.model):
        if instance.load >= instance.slots or len(having) == most:
            break
        if adapter is None or instance.has(adapter):
            having.append(instance)
        elif len(able) < most and instance.can_take(adapter):
            able.append(instance)
    return having or able
