"""Replicas where AlpaServe's plan has them."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fleet.domain import ModelId, NodeId
from fleet.needs import Need
from fleet.policy import FULL, Placed, Room
from fleet.view import View
from policies.placement.earliest import EarliestReady
from policies.placement.replica_plan import Planned
from policies.placement.starts import load_s


@dataclass(frozen=True)
class AlpaServePlacement(Planned):
    """On a node whose planned replicas of the model are not all there; the soonest of those.

    The plan is that of `AlpaServeReplicas` with the same parameters. It is made at the first
    decision after `every_s` seconds, which therefore takes longer than the others. Where none of
    the planned nodes has room, and for what is not in the plan, the earliest start counts.
    """

    departs: ClassVar[str] = (
        "Moves nothing that runs when a plan changes; a replica out of place stays until it is "
        "surplus. Of several nodes the plan prefers those with a copy."
    )

    _made_at: list[float] = field(
        default_factory=lambda: [-math.inf], init=False, repr=False, compare=False
    )

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model, earliest = need.model, EarliestReady()
        if not len(view.nodes):
            return FULL
        self._refresh(view)
        missing = self._missing(model.id, view)
        if missing and model.stages == 1:
            column = np.full(len(view.nodes), np.inf)
            column[missing] = view.ready_column(load_s(model, view))[missing]
            there = earliest.among(model, column, view, room)
            if there is not None:
                return there
        return earliest.place(need, view, room)

    def _refresh(self, view: View) -> None:
        if view.now - self._made_at[0] >= self.every_s:
            self._made_at[0] = view.now
            self.replan(view)

    def _missing(self, model: ModelId, view: View) -> list[NodeId]:
        """Nodes with fewer instances of the model than the plan has there."""
        planned = self._plan.get(model, {})
        return [
            node
            for node, replicas in planned.items()
            if sum(i.model.id == model for i in view.on_node(node)) < replicas
        ]
