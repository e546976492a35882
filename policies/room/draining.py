"""Room made by waiting: the answer to starvation of models that need several cards at once."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.commands import Command, StopInstance
from fleet.domain import ModelSpec, NodeId
from fleet.holders import Flight, Instance
from fleet.plans import UNNUMBERED, Step, Steps
from fleet.policy import Clearing
from fleet.view import View
from policies.room.clearing import cheapest, clearable, clearing, idle_cost_s, stop_s, whole_cards


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no new requests, and stop when the last one has ended."""

    cost_s: float
    remaining_s: float


@dataclass(frozen=True)
class DrainBusy:
    """Let busy instances run dry for a model whose oldest request has waited `after_s`.

    Cards that come free one at a time always fit a small model first, so one that needs several
    would wait for ever on a busy fleet; released ServerlessLLM has this defect, as its scheduler
    never holds a card for the request in front. A claim on one node's cards ends it: what is
    free there is held, and the rest follows as requests end. Costs the believed time until then.
    """

    source: ClassVar[str] = "this project; Kubernetes drains nodes so"

    after_s: Annotated[float, Meta(ge=0)] = 15.0

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        if view.oldest_wait_s(model.id) < self.after_s:
            return np.zeros(len(view.nodes), np.bool_)
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        if view.oldest_wait_s(model.id) < self.after_s:
            return None
        ways = {i.id: self._way(i, view) for i in clearable(node, model, view)}
        found = cheapest(node, model, ways, view)
        if found is None:
            return None
        steps: list[Step[Command]] = [Step(StopInstance(UNNUMBERED, v.id)) for v, _ in found]
        last_s = max((ways[v.id].remaining_s for v, _ in found), default=0.0)
        plan = Steps(tuple(steps), view.now + last_s + stop_s(node, view))
        return clearing(node, found, plan, view)

    def _way(self, victim: Instance, view: View) -> Drain:
        remaining_s = max((remaining(f, view) for f in victim.running.values()), default=0.0)
        return Drain(idle_cost_s(victim, view) + remaining_s, remaining_s)


def remaining(flight: Flight, view: View) -> float:
    """Believed seconds until a running request ends: as long as a mean one, or as long again."""
    assert flight.instance is not None, "it runs"
    kind = view.node(flight.instance.node).kind
    pace = view.estimates.pace(flight.request.model, kind)
    so_far = view.tokens_so_far(flight)
    mean = view.estimates.output_tokens(flight.request.model)
    left = mean - so_far if so_far < mean else so_far
    return left * pace.decode_s_per_token
