"""Admission by what can be kept: saturation of the fleet, and deadlines."""

from dataclasses import dataclass
from itertools import islice
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from fleet.domain import ModelId, Request
from fleet.estimates import cards
from fleet.holders import Instance
from fleet.policy import Refuse
from fleet.view import View
from policies.placement.starts import load_s


@dataclass(frozen=True)
class ProbabilisticShed:
    """Refuse requests of a negative priority with p = min(gain * saturation ** power, 1).

    Saturation is the mean over the model's instances of max(queue / `queue_limit`, share of KV
    cache in use / `kv_limit`). The queue is the model's, in equal parts.
    """

    source: ClassVar[str] = "llm-d inference scheduler, probabilistic admitter"
    departs: ClassVar[str] = (
        "Queues lie with the controller, not the engines. Of more than 64 instances every k-th in "
        "the order of load counts. A model without instances has only its queue, so that one "
        "request can start it; nothing is stale here."
    )

    queue_limit: Annotated[float, Meta(gt=0)] = 5.0
    kv_limit: Annotated[float, Meta(gt=0, le=1)] = 0.8
    power: Annotated[float, Meta(gt=0)] = 5.0
    gain: Annotated[float, Meta(ge=0)] = 300.0

    def admit(self, request: Request, view: View) -> Refuse | None:
        if request.priority >= 0:
            return None
        p = min(1.0, self.gain * self._saturation(request.model, view) ** self.power)
        return Refuse("shed") if view.stream("shed").random() < p else None

    def _saturation(self, model: ModelId, view: View) -> float:
        ready = view.ready(model)
        queue = view.queued(model) / max(1, len(ready)) / self.queue_limit
        some = list(islice(ready, 0, None, -(-len(ready) // 64) or 1))
        if not some:
            return queue
        return sum(max(queue, self._kv(i, view)) for i in some) / len(some)

    def _kv(self, instance: Instance, view: View) -> float:
        fits = view.kv_tokens(instance)
        used = view.context_tokens(instance)
        return min(1.0, used / fits if fits else 1.0) / self.kv_limit


@dataclass(frozen=True)
class SloFeasible:
    """Admit a request only if its first token is believed to come by its deadline somewhere.

    On a ready instance: its prompt's prefill, behind the queue where there is one or no slot is
    free: (queued + 1) * mean service / slots of all ready instances. On a new one: the least load
    time of any node with free or idle cards enough, behind the loads there, then the prefill; on
    one that starts already, no longer than that on any node. It may take `share` of the time to the
    deadline. The hint is by how much it would be late. Without a deadline a request is admitted.
    """

    source: ClassVar[str] = "llm-d inference scheduler, predicted-latency SLO admitter"
    departs: ClassVar[str] = (
        "TTFT is predicted from beliefs about queues and loads, not by a trained model. Cards of "
        "requests that would have to move count as no room. TPOT objectives are not asked about."
    )

    share: Annotated[float, Meta(gt=0, le=1)] = 1.0

    def admit(self, request: Request, view: View) -> Refuse | None:
        if request.deadline_at is None:
            return None
        allowed_s = (request.deadline_at - view.now) * self.share
        expected_s = min(self._queued_s(request, view), self._started_s(request, view))
        if expected_s <= allowed_s:
            return None
        late_s = expected_s - allowed_s
        return Refuse("deadline", late_s if np.isfinite(late_s) else None)

    def _queued_s(self, request: Request, view: View) -> float:
        """Until the first token on an instance that is ready; inf if none is."""
        ready, queued = view.ready(request.model), view.queued(request.model)
        least = ready.least()
        if least is None:
            return np.inf
        pace = view.estimates.pace(request.model, view.node(least.node).kind)
        prefill_s = request.prompt_tokens * pace.prefill_s_per_token
        if not queued and least.load < least.slots:
            return prefill_s
        service_s = (
            prefill_s + view.estimates.output_tokens(request.model) * pace.decode_s_per_token
        )
        return prefill_s + (queued + 1) * service_s / (len(ready) * least.slots)

    def _started_s(self, request: Request, view: View) -> float:
        """Until the first token on an instance that starts now; inf if there is no room for one."""
        model, nodes = view.model(request.model), view.nodes
        room = nodes.fits(model.need) | (nodes.free_gpus + nodes.idle_gpus >= cards(model.need))
        if view.starting(model.id):
            room = nodes.alive_gpus > 0
        if not room.any():
            return np.inf
        ready_at = np.where(room, view.ready_column(load_s(model, view)), np.inf)
        node = int(ready_at.argmin())
        pace = view.estimates.pace(model.id, view.nodes.specs[node].kind)
        return float(ready_at[node]) - view.now + request.prompt_tokens * pace.prefill_s_per_token
