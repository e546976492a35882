"""Where most of a model is still retained, weighed against what making room there would undo.

It knows copies in memory, sleepers and the cost of clearings; it does not count queues of loads.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.domain import ModelSpec, NodeId
from fleet.needs import Need
from fleet.plans import Plan
from fleet.policy import FULL, Placed, Room
from fleet.view import View
from policies.placement.earliest import EarliestReady
from policies.placement.starts import (
    behind,
    earliest_wake,
    load_s,
    nearest,
    ready_at,
    start_there,
)


@dataclass(frozen=True)
class TangramAffinity:
    """The least score of bytes missing / b + cost of eviction.

    Bytes that lie in a node's DRAM, or that a level-1 sleeper keeps there, cross PCIe only; others
    come over the SSD or from the store: the believed load from the nearest tier, or the sleeper's
    wake. The cost is the service that clearing the node takes from others, in seconds: reloading
    what is idle, by the chance that it is asked for, or what preempting and moving cost. A node
    with room has none. Of the nodes to be cleared the `shortlist` with the shortest loads is tried.
    Pipelines start where they are ready first.
    """

    source: ClassVar[str] = (
        "Tangram, arXiv 2512.01357 (affinity by retained tensors; score is ours)"
    )
    departs: ClassVar[str] = (
        "Tangram reuses single tensors that other models have not overwritten in GPU memory; here "
        "a model is retained as a whole, in DRAM or by a sleeper, never partly, never on a card."
    )

    shortlist: Annotated[int, Meta(ge=1)] = 8

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model = need.model
        if not len(view.nodes):
            return FULL
        if model.stages > 1:
            return EarliestReady(self.shortlist).place(need, view, room)
        loads_s = load_s(model, view)
        wake_at, best = earliest_wake(model, view)
        score_s = wake_at - view.now
        fits = view.nodes.fits(model.need)
        node = NodeId(int(np.where(fits, loads_s, np.inf).argmin()))
        if fits[node] and loads_s[node] < score_s:
            score_s = float(loads_s[node])
            best = start_there(model, node, ready_at(model, node, view.now, view), view)
        return self._cleared(model, loads_s, score_s, view, room) or best or FULL

    def _cleared(
        self,
        model: ModelSpec,
        loads_s: npt.NDArray[np.float64],
        score_s: float,
        view: View,
        room: Room,
    ) -> Plan | None:
        """The start behind a clearing with the least score, if that is below `score_s`."""
        reach = room.reach(model, view) & (loads_s < score_s) & ~view.nodes.fits(model.need)
        best: Plan | None = None
        for node in map(NodeId, nearest(reach, loads_s, self.shortlist)):
            if loads_s[node] >= score_s:
                break
            clearing = room.make(node, model, view)
            if clearing is not None and loads_s[node] + clearing.cost_s < score_s:
                score_s = float(loads_s[node]) + clearing.cost_s
                at = ready_at(model, node, clearing.free_at, view)
                best = behind(clearing, node, model, at, view)
        return best
