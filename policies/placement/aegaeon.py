"""Models that take turns on cards: who can give way to whom, and at what cost.

A switch puts one instance to sleep, its weights in DRAM, and wakes or starts another on the same
cards. `policies.upkeep.aegaeon` ends turns; here the next model finds its card.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from fleet.cards import pick
from fleet.commands import Command, Keep, Preempt, Sleep, StartInstance, Wake
from fleet.domain import ModelSpec, NodeId, Shard, Tier
from fleet.estimates import cards, transfer_s
from fleet.holders import Instance, Phase
from fleet.needs import Need
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import FULL, Placed, Room
from fleet.pools import Stay
from fleet.view import View
from policies.placement.earliest import EarliestReady
from policies.placement.starts import load_s, nearest, ready_at
from policies.room.clearing import whole_cards
from policies.room.victims import freed


@dataclass(frozen=True, slots=True)
class Switch:
    """`leaving` goes to sleep; `sleeper` wakes on its cards, or the model starts on `shard`."""

    leaving: Instance
    model: ModelSpec
    shard: Shard
    sleeper: Instance | None
    ready_at: float


@dataclass(frozen=True)
class AegaeonPrefill:
    """The card with the least estimated load, the cost of switching to the model included.

    Of free cards (load n / b behind the node's queue), cards that a sleeper of the model can wake
    on, and cards whose instance is idle: that one goes to sleep with its weights in memory (written
    over PCIe if they are not there), then the model wakes or loads. Requests of one model make a
    group of at most eight an instance (scaling `per_queue` with `per_instance: 8`), served first
    come, first served. Where all cards are busy the groups wait for the end of a turn. Of the nodes
    to switch on, the `shortlist` with the shortest loads is looked at.
    """

    source: ClassVar[str] = "Aegaeon, SOSP'25, section 4.2 (prefill-phase scheduling)"
    departs: ClassVar[str] = (
        "Aegaeon queues groups at instances of their own for prefill; here an instance does both "
        "phases, groups queue at their model, and only idle cards are switched between turns."
    )

    shortlist: Annotated[int, Meta(ge=1)] = 8

    def place(self, need: Need, view: View, room: Room) -> Placed:
        model = need.model
        if not len(view.nodes):
            return FULL
        column = view.ready_column(load_s(model, view))
        best = EarliestReady(self.shortlist).among(model, column, view, room)
        if model.stages > 1:
            return best or FULL
        reach = whole_cards(model, view) & (view.nodes.idle_gpus > 0)
        idle = (
            leaving
            for node in map(NodeId, nearest(reach, column, self.shortlist))
            for leaving in view.on_node(node)
            if not leaving.load and gives_way(leaving, model)
        )
        switch = soonest(model, idle, view)
        if switch is not None and (best is None or switch.ready_at < best.ready_at):
            return switching(switch, view)
        return best or FULL


def gives_way(leaving: Instance, model: ModelSpec) -> bool:
    """Whether an instance can be put to sleep for a model: nothing is on its way to it."""
    return (
        leaving.phase is Phase.READY
        and leaving.model.id != model.id
        and len(leaving.shards) == 1
        and not leaving.inbound
        and not any(e.stay is Stay.COMING for e in leaving.adapters.entries.values())
    )


def switch_to(model: ModelSpec, leaving: Instance, view: View) -> Switch | None:
    """The model on the cards that one instance frees: its sleeper there, else a start."""
    node = view.node(leaving.node)
    free = freed(view.nodes.free_bytes[node.id], leaving, node)
    asleep_at = view.now + sleep_s(leaving, view)
    for sleeper in view.asleep(model.id):
        shard = sleeper.shards[0]
        if len(sleeper.shards) == 1 and shard.node == node.id and _covers(free, shard):
            tier = view.source(model.id, node.id).tier
            awake_at = asleep_at + view.estimates.wake_s(model, node, tier)
            return Switch(leaving, model, shard, sleeper, awake_at)
    there = pick(node, free, model.need)
    if there is None:
        return None
    return Switch(leaving, model, there, None, ready_at(model, node.id, asleep_at, view))


def _covers(free: list[int], shard: Shard) -> bool:
    return all(free[gpu] >= shard.gpu_bytes for gpu in shard.gpus)


def sleep_s(leaving: Instance, view: View) -> float:
    """Believed seconds to write its weights to memory; none if they lie there."""
    model, node = leaving.model, view.node(leaving.node)
    if view.pool(node.id, Tier.DRAM).has(model.id):
        return 0.0
    return transfer_s(model.weight_bytes, node, Tier.DRAM, cards(model.need))


def switching(switch: Switch, view: View) -> Plan:
    """Preempt what runs, its KV kept in memory; sleep; then wake or start."""
    leaving, model = switch.leaving, switch.model
    steps: list[Step[Command]] = [
        Step(Preempt(UNNUMBERED, request, Keep.KV)) for request in leaving.running
    ]
    steps.append(Step(Sleep(UNNUMBERED, leaving.id, 1), tuple(range(len(steps)))))
    source, after = view.source(model.id, switch.shard.node), (len(steps) - 1,)
    if switch.sleeper is not None:
        steps.append(Step(Wake(UNNUMBERED, switch.sleeper.id, source), after))
    else:
        at = planned(len(steps))
        start = StartInstance(UNNUMBERED, at, model.id, (switch.shard,), (source,))
        steps.append(Step(start, after))
    return Steps(tuple(steps), switch.ready_at)


def soonest(model: ModelSpec, leaving: Iterable[Instance], view: View) -> Switch | None:
    """The soonest of the switches that some of these make possible; ties by instance."""
    found = [s for i in leaving if (s := switch_to(model, i, view)) is not None]
    return min(found, key=lambda s: (s.ready_at, s.leaving.id), default=None)


def fits_somewhere(model: ModelSpec, view: View) -> bool:
    """Whether a free card has room: then nobody needs to give way."""
    return bool(np.any(view.nodes.fits(model.need)))
