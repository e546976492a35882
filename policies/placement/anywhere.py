"""Placement that does not look where the checkpoint lies."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fleet.domain import NodeId
from fleet.needs import Need
from fleet.policy import FULL, Placed, Room
from fleet.view import View
from policies.placement.starts import (
    behind,
    earliest_wake,
    place_stages,
    ready_at,
    start_there,
)


@dataclass(frozen=True)
class RandomPlacement:
    """Any node with room, evenly; else any that can be cleared. ServerlessLLM's "Serverless".

    Where the checkpoint lies plays no part in the choice. What sleeps on free cards is woken first.
    Draws from the stream `placement`.
    """

    source: ClassVar[str] = 'ServerlessLLM, OSDI\'24, section 7.4: the baseline "Serverless"'

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model = need.model
        _, wake = earliest_wake(model, view)
        if wake is not None:
            return wake
        rng = view.stream("placement")
        if model.stages > 1:
            order = np.array([rng.random() for _ in range(len(view.nodes))])
            return place_stages(model, order, view, room) or FULL
        free = np.flatnonzero(view.nodes.fits(model.need))
        if len(free):
            node = NodeId(int(free[rng.randrange(len(free))]))
            return start_there(model, node, ready_at(model, node, view.now, view), view)
        reach = [NodeId(int(n)) for n in np.flatnonzero(room.reach(model, view))]
        rng.shuffle(reach)
        for node in reach:
            clearing = room.make(node, model, view)
            if clearing is not None:
                at = ready_at(model, node, clearing.free_at, view)
                return behind(clearing, node, model, at, view)
        return FULL
