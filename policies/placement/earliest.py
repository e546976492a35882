"""Where a model is ready first, by the estimates: ServerlessLLM's placement."""

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
from policies.placement.starts import (
    behind,
    earliest_wake,
    load_s,
    nearest,
    place_stages,
    ready_at,
    start_there,
)


@dataclass(frozen=True)
class EarliestReady:
    """Start (or wake) where the model is ready first, clearing the node if that still wins.

    ServerlessLLM (OSDI'24, section 5): ready at now + q + n / b on each node: q seconds until its
    pending loads end, n bytes of the largest GPU partition, b the slowest hop from the nearest copy
    (`fleet.estimates`, corrected online). Where the cards must first be cleared, the load begins at
    the later of q and the end of the cheapest clearing that `room` makes. Nodes with room are
    ranked at once; nodes to be cleared are tried in the order of q + n / b until none can beat the
    best, at most `shortlist` of them. Where none serves it says `FULL`: what waits for a model of
    the same size finds no more, because instances of a model that waits have no slots elsewhere.
    """

    source: ClassVar[str] = (
        "ServerlessLLM, OSDI'24, section 5.1 (start-up-time-optimised scheduling)"
    )
    departs: ClassVar[str] = "Nodes to be cleared are a shortlist; the paper tries every server."

    shortlist: Annotated[int, Meta(ge=1)] = 8

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model = need.model
        if not len(view.nodes):
            return FULL
        column = view.ready_column(load_s(model, view))
        return self.among(model, column, view, room) or FULL

    def among(
        self, model: ModelSpec, column: npt.NDArray[np.float64], view: View, room: Room
    ) -> Plan | None:
        """The earliest start or wake, by when each node would be ready; inf leaves a node out."""
        best_at, best = earliest_wake(model, view)
        if model.stages > 1:
            staged = place_stages(model, column, view, room)
            sooner = staged is not None and staged.ready_at < best_at
            return staged if sooner else best
        fits = view.nodes.fits(model.need)
        node = NodeId(int(np.where(fits, column, np.inf).argmin()))
        if fits[node] and column[node] < best_at:
            best_at = float(column[node])
            best = start_there(model, node, best_at, view)
        return self._cleared(model, column, best_at, view, room) or best

    def _cleared(
        self,
        model: ModelSpec,
        column: npt.NDArray[np.float64],
        best_at: float,
        view: View,
        room: Room,
    ) -> Plan | None:
        """The earliest start behind a clearing, if it beats `best_at`."""
        best: Plan | None = None
        sooner = (column < best_at) & ~view.nodes.fits(model.need)
        if not sooner.any():
            return None
        reach = room.reach(model, view) & sooner
        for node in map(NodeId, nearest(reach, column, self.shortlist)):
            if column[node] >= best_at:
                break
            clearing = room.make(node, model, view)
            if clearing is None:
                continue
            at = ready_at(model, node, clearing.free_at, view)
            if at < best_at:
                best_at, best = at, behind(clearing, node, model, at, view)
        return best
