"""The cheapest mechanism for each request that is in the way, in seconds and in money."""

from dataclasses import dataclass, field
from math import inf
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.commands import By, Command, Keep, Migrate, Preempt, StopInstance
from fleet.domain import ModelSpec, NodeId, Part
from fleet.events import RequestFinished
from fleet.holders import Instance
from fleet.plans import UNNUMBERED, Step, Steps
from fleet.policy import Clearing
from fleet.view import View
from policies.placement.starts import load_s
from policies.room.clearing import clearable, clearing, stop_s, whole_cards
from policies.room.departures import Departure, Departures, cards_held
from policies.room.ends import Ends
from policies.room.migration import source_tier, start_of, target_of
from policies.room.targets import Targets
from policies.room.victims import SLACK_S, Found, Search

#: Targets a victim may choose from, beside as many as there are victims.
MORE_TARGETS = 1


@dataclass(frozen=True)
class CheapestMechanism:
    """Clear a node so that victims, newcomers, others and the bill together lose least.

    Each running request of a victim leaves by the mechanism that costs it least, of those that are
    over when the newcomer is to start, d seconds from now:

    - copy of its KV blocks: wait and load at the target + bytes / network, at a pause of the last
      blocks; not where the cache grows faster than it is copied;
    - recomputation there: wait and load + a * (t_in + t_out), at a pause of the last tokens;
    - wait for its end: E[remaining tokens] * time per token, from the lengths seen, at no loss;
    - preemption: at once, at the loss of queueing, reload and recomputation; with its KV cache kept
      in the node's memory where another instance on the node takes it.

    cost = lost seconds of victims' requests + chance * reload of a model that is left without this
    instance + waiting newcomers (as many as an instance serves) * d + what others that wait lose by
    cards held idle + money / `value_per_s`, where money is card price * seconds held for the
    victims' requests from now to their end. Among clearings that let the oldest newcomers meet
    their deadline if there are any, else among all, the least is taken: for each d the search of
    `victims` is exact over the sets of victims and targets; d falls from that of the cheapest for
    the victims, until no earlier one can gain. No clearing at all if doing nothing costs less: the
    start elsewhere, or once cards come free by themselves, as often as they have; nor where others
    wait for the same cards, unless a model of several cards would starve (`ends`). `value_per_s` is
    what a second of one client's waiting is worth, in the unit of prices. Takes about a millisecond
    a node on which ten requests run, so more than one a decision where many nodes are tried.
    """

    source: ClassVar[str] = (
        "this project; mechanisms of ServerlessLLM (OSDI'24), Llumnix (OSDI'24), SHEPHERD (NSDI'23)"
    )

    observes: ClassVar = (RequestFinished,)

    value_per_s: Annotated[float, Meta(gt=0)] = 0.01
    most_preemptions: Annotated[int, Meta(ge=0)] = 2
    most_searches: Annotated[int, Meta(ge=1)] = 16
    _ends: Ends = field(default_factory=Ends, init=False, repr=False, compare=False)

    def observe(self, event: RequestFinished, view: View) -> None:
        flight = view.flight(event.request)
        if flight is not None and flight.instance is not None:
            self._ends.saw(flight.instance, event.tokens, view.now)

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return whole_cards(model, view)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        otherwise_s = self._otherwise_s(node, model, view)
        if otherwise_s <= 0.0:
            return None
        victims = [i for i in clearable(node, model, view) if undisturbed(i)]
        parts = any(isinstance(v.model.need, Part) for v in victims)
        targets = Targets(node, len(victims) + MORE_TARGETS, view, parts)
        ways = Departures(targets, self.value_per_s, self.most_preemptions, model, self._ends)
        slack_s = time_left_s(node, model, view)
        found = self.best(node, model, victims, ways, slack_s)
        if found is None and slack_s < inf:
            found = self.best(node, model, victims, ways, inf)
        if found is None:
            return None
        cost_s = self._cost_s(model, found, view)
        stays_s = sum(way.stay_s for _, way in found if isinstance(way, Departure))
        if cost_s >= newcomers(model, view) * otherwise_s + stays_s:
            return None
        return leaving(node, found, cost_s, view)

    def _otherwise_s(self, node: NodeId, model: ModelSpec, view: View) -> float:
        """By how much later than on cards here that are free it would start without a clearing."""
        fits = view.nodes.fits(model.need)
        if fits.any():
            tier = view.source(model.id, node).tier
            here_s = view.estimates.load_s(model, view.node(node), tier)
            ready_at = np.where(fits, view.ready_column(load_s(model, view)), np.inf)
            return float(ready_at.min()) - view.now - here_s
        return self._ends.until_free_s(model, view)

    def best(
        self,
        node: NodeId,
        model: ModelSpec,
        victims: list[Instance],
        ways: Departures,
        within_s: float,
    ) -> Found | None:
        """Fewer seconds of delay cost the victims more: none is passed over that could be best."""
        best_s, best = inf, None
        for _ in range(self.most_searches):
            ways.within_s = within_s
            found = search(node, model, victims, ways)
            if found is None or sum(way.cost_s for _, way in found) >= best_s - SLACK_S:
                break
            cost_s = self._cost_s(model, found, ways.view)
            if cost_s < best_s:
                best_s, best = cost_s, found
            delay_s = after_s(found)
            if delay_s <= SLACK_S:
                break
            within_s = delay_s - 3 * SLACK_S
        return best

    def _cost_s(self, model: ModelSpec, found: Found, view: View) -> float:
        victims_s = sum(way.cost_s for _, way in found)
        return victims_s + newcomers(model, view) * after_s(found) + held_s(found, model, view)


def newcomers(model: ModelSpec, view: View) -> int:
    """Waiting requests that one instance would serve at once; at least the one it is for."""
    return min(max(1, view.queued(model.id)), model.max_sequences)


def undisturbed(victim: Instance) -> bool:
    """Nothing is asked of its requests yet."""
    return all(not f.told and f.move is None for f in victim.running.values())


def time_left_s(node: NodeId, model: ModelSpec, view: View) -> float:
    """Until the cards must be free for the model to be ready by its first deadline; inf: none."""
    heads = (lane.flights[0].request.deadline_at for lane in view.lanes(model.id) if lane.flights)
    deadline_at = min((at for at in heads if at is not None), default=inf)
    if deadline_at == inf:
        return inf
    tier = view.source(model.id, node).tier
    loaded_s = view.estimates.load_s(model, view.node(node), tier)
    return deadline_at - view.now - loaded_s - stop_s(node, view)


def search(
    node: NodeId, model: ModelSpec, victims: list[Instance], ways: Departures
) -> Found | None:
    """The cheapest victims and departures that are over within the ways' limit."""
    alone_s = {v.id: min((w.cost_s for w in ways.of(v, ())), default=inf) for v in victims}
    able = sorted((v for v in victims if alone_s[v.id] < inf), key=lambda v: (alone_s[v.id], v.id))
    found = Search(ways.view.node(node), model.need, able, alone_s, ways)
    return found.run(ways.view.nodes.free_bytes[node])


def held_s(found: Found, model: ModelSpec, view: View) -> float:
    """What others that wait lose by cards that are free, and held until the last one is.

    A second of a card that nobody uses delays each of them by one part in all the fleet's cards.
    """
    if isinstance(model.need, Part) or not found:
        return 0.0
    last_s = after_s(found)
    used_s = sum(
        cards_held(victim.shards, view.node(victim.node)) * way.after_s
        for victim, way in found
        if isinstance(way, Departure)
    )
    others = view.waiting() - view.queued(model.id)
    return max(0.0, model.need.gpus * last_s - used_s) * others / int(view.nodes.alive_gpus.sum())


def after_s(found: Found) -> float:
    """Seconds until the last request has left."""
    return max((way.after_s for _, way in found if isinstance(way, Departure)), default=0.0)


def leaving(node: NodeId, found: Found, cost_s: float, view: View) -> Clearing:
    """Each request by its act, then the stop of its victim, which waits for those that run on."""
    steps: list[Step[Command]] = []
    goes = [(victim, way) for victim, way in found if isinstance(way, Departure)]
    for victim, way in sorted(goes, key=lambda g: -source_tier(g[0], g[1].move, view)):
        first = len(steps)
        steps += departing(victim, way, first, view)
        steps.append(Step(StopInstance(UNNUMBERED, victim.id), tuple(range(first, len(steps)))))
    plan = Steps(tuple(steps), view.now + after_s(found) + stop_s(node, view))
    cleared = clearing(node, found, plan, view)
    return Clearing(plan, cleared.free_at, cost_s, cleared.free_bytes)


def departing(victim: Instance, way: Departure, first: int, view: View) -> list[Step[Command]]:
    """The target's start, migrations to it, preemptions; nothing for those that run on."""
    steps: list[Step[Command]] = []
    if way.move is not None:
        steps += start_of(victim, way.move, first, view)
    for act in way.acts:
        match act.how:
            case By() as by:
                assert way.move is not None, "who moves has a target"
                target, after = target_of(way.move, first)
                steps.append(Step(Migrate(UNNUMBERED, act.request, victim.id, target, by), after))
            case Keep() as keep:
                steps.append(Step(Preempt(UNNUMBERED, act.request, keep)))
            case _:
                pass
    return steps
