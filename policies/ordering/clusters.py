"""Batches from few adapters: who waits for one that runs already goes first."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import AdapterId, ModelId
from fleet.lanes import Lane, Lanes
from fleet.view import View

#: Instances with free slots that are looked at for what runs there; the least loaded first.
MOST_INSTANCES = 8


@dataclass(frozen=True)
class FewAdapters:
    """The oldest lane of those whose adapter is running; else the oldest while few are running.

    Few: fewer than `batch_num_adapters` on the instances that have free slots. When as many run
    and nobody waits for one of them, the oldest of all is next, so that no slot stays empty. A lane
    without an adapter goes with every batch.
    """

    source: ClassVar[str] = "S-LoRA, MLSys'24; S-LoRA/S-LoRA router/cluster_req_queue.py"
    departs: ClassVar[str] = (
        "Where S-LoRA leaves a batch unfilled rather than take another adapter, this fills it. "
        "What runs is that of all instances of the model with a free slot, not of one batch."
    )

    batch_num_adapters: Annotated[int, Meta(ge=1)] = 4

    def next(self, lanes: Lanes, view: View) -> Lane | None:
        oldest = lanes.oldest()
        if oldest is None:
            return None
        running = adapters_running(oldest.flights[0].request.model, view)
        if len(running) < self.batch_num_adapters and oldest.adapter is not None:
            running = running | {oldest.adapter}
        together = [lane for lane in lanes if lane.adapter is None or lane.adapter in running]
        return min(together, key=head, default=oldest)


def head(lane: Lane) -> tuple[float, int]:
    request = lane.flights[0].request
    return request.arrived_at, request.id


def adapters_running(model: ModelId, view: View) -> set[AdapterId]:
    """With requests on instances that have free slots."""
    found: set[AdapterId] = set()
    for number, instance in enumerate(view.ready(model)):
        if instance.load >= instance.slots or number == MOST_INSTANCES:
            break
        found |= {AdapterId(a) for a, e in instance.adapters.entries.items() if e.pins}
    return found
