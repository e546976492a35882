"""Turns on cards: a model that has none takes one from another that had it long enough.

It ends turns and says how long one may be; who gets a card that is idle or free is the placement's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet.domain import InstanceId, ModelId, ModelSpec, Tier
from fleet.events import Awake, InstanceReady
from fleet.holders import Instance
from fleet.plans import Plan
from fleet.view import View
from policies.placement.aegaeon import fits_somewhere, gives_way, soonest, switching

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
    wait. A request that was dispatched `most_turns` times ends where it runs. Of the models that
    wait `shortlist` are looked at in a round, and for each as many cards, besides its sleepers'.
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
    shortlist: Annotated[int, Meta(ge=1)] = 8
    _turn_at: dict[InstanceId, float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def observe(self, fact: Any, view: View) -> None:
        if view.ordered(fact.command) is None:
            return  # late: it is about an attempt that is over
        self._turn_at[fact.instance] = fact.at

    def tend(self, view: View) -> Iterator[Plan]:
        waiting = [m for m in view.models() if _starves(m, view)]
        waiting.sort(key=lambda m: (-view.oldest_wait_s(m.id), m.id))
        del waiting[self.shortlist :]
        over = self._over(waiting, view)
        for model in waiting:
            if fits_somewhere(model, view):
                continue  # a switch of this round has freed more than it took
            homes = {sleeper.node for sleeper in view.asleep(model.id)}
            looked_at = [i for i in over if i.node in homes] + over[: self.shortlist]
            leaving = (i for i in looked_at if gives_way(i, model) and self._may_leave(i))
            switch = soonest(model, leaving, view)
            if switch is not None:
                yield switching(switch, view)

    def _over(self, waiting: Sequence[ModelSpec], view: View) -> list[Instance]:
        """Instances that have had their quota, in a round with those that wait; oldest turn first.

        Forgets the turns of instances that are not ready any more.
        """
        turns = {i.id: (self._turn_at.get(i.id, i.started_at), i) for i in _ready(view)}
        for gone in [i for i in self._turn_at if i not in turns]:
            del self._turn_at[gone]
        quota_s: dict[tuple[ModelId, str], float] = {}
        over = []
        for began_at, instance in turns.values():
            key = (instance.model.id, view.node(instance.node).kind)
            if key not in quota_s:
                quota_s[key] = self._quota_s(instance, waiting, view)
            if view.now - began_at >= quota_s[key]:
                over.append((began_at, instance.id, instance))
        return [instance for _, _, instance in sorted(over)]

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


def _ready(view: View) -> Iterator[Instance]:
    return (instance for model in view.models() for instance in view.ready(model.id))


def _starves(model: ModelSpec, view: View) -> bool:
    """Whether somebody waits for it and it has neither an instance nor a card to start on."""
    return (
        view.queued(model.id) > 0
        and model.stages == 1
        and not len(view.ready(model.id))
        and not view.starting(model.id)
        and not fits_somewhere(model, view)
    )


def quotas_s(tokens_due: Sequence[float], switch_s: float, most_s: float) -> list[float]:
    """Seconds of each model's turn; `tokens_due` are those it makes in the time one may take."""
    if switch_s <= 0.0:
        return [most_s] * len(tokens_due)
    busy = sum(1.0 / n for n in tokens_due)
    alpha = max(switch_s / (min(tokens_due) * most_s) + busy, LEAST_ALPHA)
    return [switch_s / (n * (alpha - busy)) for n in tokens_due]
