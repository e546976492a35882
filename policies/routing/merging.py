"""dLoRA's dispatch: engines by how well their requests fall into batches of one adapter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import AdapterId, Request
from fleet.holders import Instance
from fleet.policy import Waiver
from fleet.view import View
from policies.routing.candidates import MOST


@dataclass(frozen=True)
class DloraDispatch:
    """Least cost of the engine with the request on it, ties by load.

    cost = sum over adapters k of floor(cnt_k / bs) * `merged` + floor(sum_k (cnt_k mod bs) / bs):
    full batches of one adapter run merged into the weights, at `merged` of the time of a mixed one.
    cnt_k are requests there with adapter k (or none), the newcomer's included; bs is `batch`.
    Plus adapter bytes / `swap_bytes_per_s` where the adapter is not there. The request waits for
    its adapter then, though a holder may have a slot: that is the rule, hence the waiver. While it
    is on its way the holders serve.
    """

    source: ClassVar[str] = "dLoRA, OSDI'24, section 5; LLMServe/dLoRA-artifact engine_manager.py"
    departs: ClassVar[str] = (
        "Swapping costs wherever the adapter is absent, even if no other engine has an idle copy."
    )
    waives: ClassVar = (Waiver.BLIND_TO_ADAPTERS,)

    batch: Annotated[int, Meta(ge=1)] = 8
    merged: Annotated[float, Meta(ge=0)] = 0.6
    swap_bytes_per_s: Annotated[float, Meta(gt=0)] = 32e9

    def route(self, request: Request, view: View) -> Instance | None:
        best: tuple[float, int, int] | None = None
        chosen: Instance | None = None
        for instance in able(request, view):
            cost = self.cost(instance, request.adapter, view), instance.load, instance.id
            if best is None or cost < best:
                best, chosen = cost, instance
        return chosen

    def cost(self, instance: Instance, adapter: AdapterId | None, view: View) -> float:
        """In batches' times, but for the swap, which is in seconds as dLoRA adds them up."""
        entries = instance.adapters.entries
        counts = {a: entry.pins for a, entry in entries.items() if entry.pins}
        plain = instance.load - sum(counts.values())
        if adapter is None:
            plain += 1
        else:
            counts[adapter] = counts.get(adapter, 0) + 1
        each = [plain, *counts.values()]
        full = sum(n // self.batch for n in each)
        mixed = sum(n % self.batch for n in each) // self.batch
        swap_s = 0.0
        if adapter is not None and not instance.has(adapter):
            swap_s = view.size(adapter) / self.swap_bytes_per_s
        return full * self.merged + mixed + swap_s


def able(request: Request, view: View) -> Iterator[Instance]:
    """Ready instances that hold the adapter or could, at most 64; holders alone while it comes."""
    adapter = request.adapter
    open_ones: list[Instance] = []
    coming = False
    for instance in view.ready(request.model):
        if instance.load >= instance.slots or len(open_ones) == MOST:
            break
        if adapter is None or instance.can_take(adapter):
            open_ones.append(instance)
        coming = coming or (
            adapter is not None and adapter in instance.adapters and not instance.has(adapter)
        )
    holders = [i for i in open_ones if adapter is not None and i.has(adapter)]
    return iter(holders if coming and holders else open_ones)
