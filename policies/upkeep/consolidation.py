"""Models that were started in several stages to come sooner are brought onto one node again.

It knows instances, not why each was started as it was: more shards than the model's stages say it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from fleet.commands import By, Command, Migrate, StartInstance, StopInstance
from fleet.domain import ModelSpec, NodeId
from fleet.holders import Instance, Phase
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.view import View
from policies.placement.starts import load_s, start_there


@dataclass(frozen=True)
class Consolidate:
    """Start a whole instance beside each cold-start pipeline, move its requests there, stop it.

    Every `every_s`, for each model with a ready pipeline of more shards than it has stages: if no
    whole instance is ready or on its way, one is started on the node with room where it is ready
    first, a node of the pipeline if there is a tie; once one is ready with slots for all that
    runs on the pipeline, those requests move by their KV cache and the pipeline stops. A
    pipeline whose requests need adapters that the whole instance has not got waits for their end.
    """

    source: ClassVar[str] = "HydraServe, NSDI'26, section on pipeline consolidation"
    departs: ClassVar[str] = (
        "There a worker of the pipeline loads the rest of the weights into the card it has; here a "
        "whole instance loads beside it, on cards that are free, so the model is held twice for a "
        "while."
    )

    every_s: Annotated[float, Meta(gt=0)] = 1.0

    def tend(self, view: View) -> Iterator[Plan]:
        for model in view.models():
            pipelines = [i for i in view.ready(model.id) if len(i.shards) > model.stages]
            for pipeline in pipelines:
                plan = self._next(pipeline, model, view)
                if plan is not None:
                    yield plan

    def _next(self, pipeline: Instance, model: ModelSpec, view: View) -> Plan | None:
        if pipeline.phase is not Phase.READY or pipeline.inbound:
            return None  # an earlier plan of this round, or a migration, is about it
        whole = [i for i in view.ready(model.id) if len(i.shards) == model.stages]
        if whole:
            target = next((i for i in whole if _takes_all(i, pipeline)), None)
            return None if target is None else _move_to(target, pipeline, view)
        if view.starting(model.id) or not pipeline.load or model.stages > 1:
            return None
        return _start_whole(pipeline, model, view)


def _start_whole(pipeline: Instance, model: ModelSpec, view: View) -> Plan | None:
    """The whole model on free cards; what runs on the pipeline follows as soon as it is there.

    Were the requests left for the next round, it might rest before anybody came.
    """
    column = np.where(view.nodes.fits(model.need), view.ready_column(load_s(model, view)), np.inf)
    own = [shard.node for shard in pipeline.shards]
    soonest = column.min(initial=np.inf)
    if soonest == np.inf:
        return None
    ties = [n for n in own if column[n] == soonest]
    node = ties[0] if ties else NodeId(int(column.argmin()))
    first = start_there(model, node, float(soonest), view)
    assert isinstance(first.steps[-1].command, StartInstance)
    at = len(first.steps) - 1
    moves: list[Step[Command]] = [
        Step(Migrate(UNNUMBERED, flight.request.id, pipeline.id, planned(at), By.KV), (at,))
        for flight in pipeline.running.values()
        if flight.request.adapter is None and flight.move is None and not flight.told
    ]
    return Steps((*first.steps, *moves), first.ready_at)


def _takes_all(whole: Instance, pipeline: Instance) -> bool:
    """Whether all that runs on the pipeline can go on there now."""
    if pipeline.load > whole.slots - whole.load:
        return False
    return all(
        not f.told
        and f.move is None
        and (f.request.adapter is None or whole.has(f.request.adapter))
        for f in pipeline.running.values()
    )


def _move_to(whole: Instance, pipeline: Instance, view: View) -> Plan:
    moves: list[Step[Command]] = [
        Step(Migrate(UNNUMBERED, request, pipeline.id, whole.id, By.KV))
        for request in pipeline.running
    ]
    stop: Step[Command] = Step(StopInstance(UNNUMBERED, pipeline.id), tuple(range(len(moves))))
    return Steps((*moves, stop), view.now)
