"""What every way of making room shares: who may have to go, and what that takes from whom.

Costs are seconds of service taken from others, so that stopping, preempting and migrating compare.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np
import numpy.typing as npt

from fleet.domain import InstanceId, ModelSpec, NodeId, Part
from fleet.holders import Instance, Phase
from fleet.plans import Plan
from fleet.policy import Clearing
from fleet.pools import Stay
from fleet.view import View
from policies.room.victims import Found, Search, Way, freed

#: How far ahead the chance is counted that an idle instance will be asked for again.
REUSE_HORIZON_S = 60.0


@dataclass(frozen=True, slots=True)
class Leave:
    """Go at once, taking nothing elsewhere: stop, with requests pushed off if there are any."""

    cost_s: float


@dataclass(frozen=True)
class Fixed:
    """Each victim has one way, whatever the others do."""

    ways: Mapping[InstanceId, Way]

    def of(self, victim: Instance, taken: Sequence[Way]) -> Iterable[Way]:
        return (self.ways[victim.id],)

    def mark(self, taken: Sequence[Way]) -> Hashable:
        return None

    def at_least_s(self, victims: Sequence[Instance], fewest: int, taken: Sequence[Way]) -> float:
        return sum(nsmallest(fewest, (self.ways[v.id].cost_s for v in victims)))


def whole_cards(model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
    """By node: alive, and so many cards there at all."""
    needed = 1 if isinstance(model.need, Part) else model.need.gpus
    reach: npt.NDArray[np.bool_] = view.nodes.alive_gpus >= needed
    return reach


def clearable(node: NodeId, model: ModelSpec, view: View) -> list[Instance]:
    """Ready instances that a plan may stop: no copy of the model itself, nothing on its way there.

    Neither a migration nor an adapter: somebody waits for those.
    """
    return [
        i
        for i in view.on_node(node)
        if i.phase is Phase.READY
        and not i.inbound
        and i.model.id != model.id
        and not any(e.stay is Stay.COMING for e in i.adapters.entries.values())
    ]


def reload_s(victim: Instance, view: View) -> float:
    """Believed seconds to load the victim's model again where it is."""
    source = view.source(victim.model.id, victim.node)
    return view.estimates.load_s(victim.model, view.node(victim.node), source.tier)


def idle_cost_s(victim: Instance, view: View) -> float:
    """Expected seconds of loading an idle instance again: (1 - e^(-rate * 60 s)) * its load.

    The factor is the chance of an arrival in the next minute if arrivals were Poisson; the weight
    is this project's, ServerlessLLM counts an idle instance as free.
    """
    again = 1.0 - math.exp(-view.rate(victim.model.id) * REUSE_HORIZON_S)
    return again * reload_s(victim, view)


def stop_s(node: NodeId, view: View) -> float:
    """Believed seconds to stop an instance on the node."""
    return view.estimates.belief(view.node(node).kind).stop_s


def cheapest(
    node: NodeId, model: ModelSpec, ways: Mapping[InstanceId, Way], view: View
) -> Found | None:
    """The cheapest of the victims, each with its one way, that free the model's share."""
    victims = [view.instance(i) for i in ways]
    victims.sort(key=lambda v: (ways[v.id].cost_s, v.idle_since, v.id))
    alone_s = {i: way.cost_s for i, way in ways.items()}
    search = Search(view.node(node), model.need, victims, alone_s, Fixed(ways))
    return search.run(view.nodes.free_bytes[node])


def clearing(node: NodeId, found: Found, plan: Plan, view: View) -> Clearing:
    """The answer: the plan, when it is over, what it costs, and the cards as it leaves them."""
    free: Sequence[int] = view.nodes.free_bytes[node]
    for victim, _ in found:
        free = freed(free, victim, view.node(node))
    return Clearing(plan, plan.ready_at, sum(way.cost_s for _, way in found), tuple(free))
