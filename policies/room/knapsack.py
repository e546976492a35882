"""ServerlessLLM's own choice of victims: a knapsack over instances and cards, as published."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.commands import By
from fleet.domain import ModelSpec, NodeId, Part
from fleet.holders import Instance
from fleet.policy import Clearing
from fleet.view import View
from policies.room.clearing import Leave, clearable, whole_cards
from policies.room.migration import movable, moving
from policies.room.targets import Move, Targets, start_s
from policies.room.victims import Found, Way, cards_short, held_on


@dataclass(frozen=True)
class KnapsackVictims:
    """Free j cards at least cost by migrating: least[j] = min(least[j], least[j - g_i] + cost_i).

    Over the node's instances i, in turn, of g_i cards: cost_i = a * tokens_i + b + load_i, where
    load_i is the wait and load at the target that would have the model first, beside the loads
    that the same row's victims began. `variant` "paper": a is the believed prefill time of a
    token, b is 0, and a victim may hold more cards than are short. "code", as released: a and b
    are `recompute_s_per_token` and `resume_s`, and all that the programme can ever answer is one
    victim of exactly the shortage, its table never being filled for less. Shares of a card are no
    business of this rule: for those it makes no room.
    """

    source: ClassVar[str] = (
        "ServerlessLLM, OSDI'24, section 5; sllm/schedulers/storage_aware_scheduler.py"
    )
    departs: ClassVar[str] = (
        "No two victims of a row are sent to the same free cards, as the released planner may do."
    )

    variant: Literal["paper", "code"] = "paper"
    recompute_s_per_token: Annotated[float, Meta(ge=0)] = 0.01
    resume_s: Annotated[float, Meta(ge=0)] = 0.1

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        if isinstance(model.need, Part):
            return np.zeros(len(view.nodes), np.bool_)
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        if isinstance(model.need, Part):
            return None
        spec = view.node(node)
        short = cards_short(spec, model.need, view.nodes.free_bytes[node])
        victims = [i for i in clearable(node, model, view) if movable(i) and whole(i)]
        if self.variant == "code":
            victims = [i for i in victims if len(held_on(i, spec)) == short]
        targets = Targets(node, len(victims), view)
        rows = self._rows(victims, short, targets, view)
        found = rows[short] if short > 0 else []
        return None if found is None else moving(node, found, By.TOKENS, view)

    def _rows(
        self, victims: Sequence[Instance], short: int, targets: Targets, view: View
    ) -> list[Found | None]:
        """By cards freed, up to the shortage: the cheapest victims known, with their targets."""
        rows: list[Found | None] = [[], *([None] * short)]
        for victim in victims:
            cards = len(victim.shards[0].gpus)
            for j in range(short, 0, -1):
                before = rows[max(0, j - cards)]
                way = None if before is None else self._way(victim, before, targets, view)
                if before is None or way is None:
                    continue
                known, found = rows[j], [*before, (victim, way)]
                if known is None or cost_s(found) < cost_s(known):
                    rows[j] = found
        return rows

    def _way(self, victim: Instance, before: Found, targets: Targets, view: View) -> Way | None:
        """The target where the model would be first, whatever that costs the victims to come."""
        if not victim.load:
            return Leave(0.0)
        taken = [way for _, way in before]
        moves = [(start_s(w, taken), w) for w in targets.of(victim, taken) if isinstance(w, Move)]
        if not moves:
            return None
        starts_s, move = min(moves, key=lambda m: m[0])
        return replace(move, cost_s=starts_s + self._resume_s(victim, move, view))

    def _resume_s(self, victim: Instance, move: Move, view: View) -> float:
        if self.variant == "paper":
            return move.resume_s
        tokens = view.context_tokens(victim)
        return self.recompute_s_per_token * tokens + self.resume_s


def whole(victim: Instance) -> bool:
    return not isinstance(victim.model.need, Part)


def cost_s(found: Found) -> float:
    return sum(way.cost_s for _, way in found)
