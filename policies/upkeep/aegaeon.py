"""Turns on cards: a model that has none takes one from another that had it long enough.

It ends turns and says how long one may be; who gets a card that is idle or free is the placement's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet.domain import InstanceId, ModelSpec, Tier
from fleet.events import Awake, InstanceReady
from fleet.holders import Instance
from fleet.plans import Plan
from fleet.view import View
from policies.placement.aegaeon import fits_somewhere, gives_way, switches, switching

#: No more than half of all time may be promised: Aegaeon's floor of alpha.
LEAST_ALPHA = 0.5


@dataclass(frozen=True)
class AegaeonDecode:
    """Weighted round robin among the models that share a card, in turns of their quotas.

    With n_k = `tbt_slo_s` / seconds a token of model k, and c the seconds of switching in a round,

        q_i = c / (n_i * (alpha - sum 1/n_k)),  alpha = max(c / (min n * Q) + sum 1/n_k, 0.5),

    so that the longest quota is Q = `most_quota_s` where alpha is above its floor. Every `every_s`
    each model that has requests and neither an instance nor a free card (the longest wait first)
    takes the card that it has soonest, of those whose instance has had its quota: what runs there
    is preempted with its KV cache kept in the node's memory, the instance sleeps with its weights
    in DRAM, and the model wakes or starts. A round's models are the one on the card and those that
    wait. A request that was dispatched `most_turns` times ends where it runs.
    """

    source: ClassVar[str] = (
        "Aegaeon, SOSP'25, section 4.3; quotas as q_i * n_i / (sum of q + c) = 1 / alpha gives them"
    )
    departs: ClassVar[str] = (
        "Batches are a model's instance, not lists at a decode instance; KV caches go out and back "
        "with the switch, where Aegaeon overlaps the two; one instance gives way, not several."
    )
    observes: ClassVar = (InstanceReady, Awake)

    every_s: Annotated[float, Meta(gt=0)] = 0.5
    tbt_slo_s: Annotated[float, Meta(gt=0)] = 0.2
    most_quota_s: Annotated[float, Meta(gt=0)] = 4.0
    most_turns: Annotated[int, Meta(ge=1)] = 8
    _turn_at: dict[InstanceId, float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def observe(self, fact: Any, view: View) -> None:
        if view.ordered(fact.command) is None:
            return  # late: it is about an attempt that is over
        self._turn_at[fact.instance] = fact.at

    def tend(self, view: View) -> Iterator[Plan]:
        self._forget(view)
        waiting = [m for m in view.models() if self._starves(m, view)]
        waiting.sort(key=lambda m: (-view.oldest_wait_s(m.id), m.id))
        for model in waiting:
            switch = switches(model, self._over(model, waiting, view), view)
            if switch is not None:
                yield switching(switch, view)

    def _forget(self, view: View) -> None:
        ready = {i.id for m in view.models() for i in view.ready(m.id)}
        for gone in [i for i in self._turn_at if i not in ready]:
            del self._turn_at[gone]

    def _starves(self, model: ModelSpec, view: View) -> bool:
        none = not len(view.ready(model.id)) and not view.starting(model.id)
        return (
            model.stages == 1
            and none
            and view.queued(model.id) > 0
            and not fits_somewhere(model, view)
        )

    def _over(
        self, model: ModelSpec, waiting: Sequence[ModelSpec], view: View
    ) -> Iterator[Instance]:
        """Instances that may give way and have had their quota."""
        for other in view.models():
            for instance in view.ready(other.id):
                if gives_way(instance, model) and self._may_leave(instance):
                    had_s = view.now - self._turn_at.get(instance.id, instance.started_at)
                    if had_s >= self._quota_s(instance, waiting, view):
                        yield instance

    def _may_leave(self, instance: Instance) -> bool:
        return all(
            not f.told and f.move is None and f.attempts < self.most_turns
            for f in instance.running.values()
        )

    def _quota_s(self, instance: Instance, waiting: Sequence[ModelSpec], view: View) -> float:
        """Of the model on a card, in a round with those that wait."""
        node = view.node(instance.node)
        models = [instance.model, *(m for m in waiting if m.id != instance.model.id)]
        steps = [view.estimates.pace(m.id, node.kind).decode_s_per_token for m in models]
        switch_s = sum(view.estimates.wake_s(m, node, Tier.DRAM) for m in models)
        return quotas_s([self.tbt_slo_s / s for s in steps], switch_s, self.most_quota_s)[0]


def quotas_s(tokens_due: Sequence[float], switch_s: float, most_s: float) -> list[float]:
    """Seconds of each model's turn; `tokens_due` are those it makes in the time one may take."""
    if switch_s <= 0.0:
        return [most_s] * len(tokens_due)
    busy = sum(1.0 / n for n in tokens_due)
    alpha = max(switch_s / (min(tokens_due) * most_s) + busy, LEAST_ALPHA)
    return [switch_s / (n * (alpha - busy)) for n in tokens_due]
