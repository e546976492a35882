"""Where the checkpoint lies, even if that means to wait there.

It knows who holds copies and what runs there; how long that still runs is a belief.
"""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from fleet.domain import ModelSpec, NodeId, Tier
from fleet.estimates import cards
from fleet.holders import Instance, Phase
from fleet.needs import Need
from fleet.policy import FULL, Placed, Room, Waiver
from fleet.view import View
from policies.placement.earliest import EarliestReady
from policies.placement.starts import load_s, nearest, ready_at
from policies.room.clearing import stop_s, whole_cards


@dataclass(frozen=True)
class Locality:
    """On a node that holds the checkpoint, waiting for its cards while that is believed sooner.

    A node with a copy and room (or room to be made) starts it. Otherwise waiting there would have
    it ready at (end of what runs) + q + n / b, against the earliest start elsewhere; where waiting
    wins the answer is "not now". `strict` waits whatever it costs: ServerlessLLM's locality-driven
    baseline, which queues behind. A request that has outlived the mean output is believed to go on
    as long as it has run. A model that lies on no node, and a pipeline, start where they are ready
    first. It waits beside free cards by its nature, so it waives that promise.
    """

    source: ClassVar[str] = "ServerlessLLM, OSDI'24, section 5.1: the locality-driven policy"
    departs: ClassVar[str] = (
        "The paper's queue on a server holds requests; here the model waits for the node's cards, "
        "and asks again at every change of capacity."
    )
    waives: ClassVar = (Waiver.LEAVES_CARDS,)

    strict: bool = False
    shortlist: Annotated[int, Meta(ge=1)] = 8

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model, earliest = need.model, EarliestReady(self.shortlist)
        if not len(view.nodes):
            return FULL
        held = (view.tiers(model.id) > Tier.REMOTE) & whole_cards(model, view)
        if model.stages > 1 or not held.any():
            return earliest.place(need, view, room)
        column = view.ready_column(load_s(model, view))
        here = earliest.among(model, np.where(held, column, np.inf), view, room)
        if self.strict:
            return here
        anywhere = earliest.among(model, column, view, room)
        if anywhere is None:
            return FULL
        if here is not None and here.ready_at <= anywhere.ready_at:
            return here
        holders = nearest(held, column, self.shortlist)
        waited_at = min(self._waited_at(model, NodeId(node), view) for node in holders)
        return None if waited_at < anywhere.ready_at else anywhere

    def _waited_at(self, model: ModelSpec, node: NodeId, view: View) -> float:
        """When it would be ready there if what runs there ends as believed."""
        free = int(view.nodes.free_gpus[node])
        ends = sorted((ends_at(i, view), i.id, i) for i in view.on_node(node))
        for at, _, instance in ends:
            free += sum(len(s.gpus) for s in instance.shards if s.node == node)
            if free >= cards(model.need):
                return ready_at(model, node, at + stop_s(node, view), view)
        return math.inf


def ends_at(instance: Instance, view: View) -> float:
    """When the instance is believed to be idle: as its newest request ends."""
    tokens = view.estimates.output_tokens(instance.model.id)
    pace = view.estimates.pace(instance.model.id, view.node(instance.node).kind)
    if instance.phase in (Phase.PLANNED, Phase.LOADING, Phase.WAKING):
        loaded_at = max(view.now, float(view.nodes.loading_until[instance.node]))
        return loaded_at + tokens * pace.decode_s_per_token
    if not instance.running:
        return view.now
    had = view.tokens_so_far(next(reversed(instance.running.values())))
    left = tokens - had if had < tokens else had
    return view.now + left * pace.decode_s_per_token
