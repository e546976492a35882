"""How each running request of a victim could leave it, and what that costs, in seconds and money.

It knows victims, targets and prices; which victims go, and when the newcomer may start, it does
not: `policies.room.mechanism` decides that.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from math import inf
from typing import TypeAlias

import numpy as np

from fleet.commands import By, Keep
from fleet.domain import ModelSpec, NodeSpec, RequestId, Shard
from fleet.holders import Flight, Instance
from fleet.view import View
from policies.placement.starts import load_s
from policies.room.clearing import idle_cost_s, reload_s
from policies.room.ends import Ends
from policies.room.targets import Move, Targets, start_s
from policies.room.victims import SLACK_S, Way

#: Tokens few enough to stop for, by recomputation (ServerlessLLM's `migration_delta`).
LAST_ROUND_TOKENS = 20
#: The same by copies, 16 KV blocks of 16, and the copies before Llumnix gives up.
LAST_STAGE_TOKENS = 256
MOST_STAGES = 3
#: At most so many moments are tried at which a victim could be free.
MOST_MOMENTS = 24


#: Migration by KV or tokens, preemption that keeps either, or None: to run to its end.
How: TypeAlias = By | Keep | None


@dataclass(frozen=True, slots=True)
class Act:
    """One request leaves: it is off the cards `after_s` from now, and its client loses `lost_s`.

    `left_s` is what it still has to run, on the cards where it will.
    """

    request: RequestId
    how: How
    after_s: float
    lost_s: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Departure:
    """A victim goes: each of its requests by an act, some of them to the target of `move`.

    `cost_s` is what the clients lose, and the money in seconds; `after_s` when the last has left;
    `stay_s` the money in seconds that its requests cost if they run to their end where they are.
    """

    cost_s: float
    after_s: float
    acts: tuple[Act, ...] = ()
    move: Move | None = None
    stay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Return:
    """Where preempted requests of a victim would run again, `after_s` from now, as believed."""

    after_s: float
    reloads: bool
    here: bool  # on the same node, where a KV cache kept in its memory is of use


@dataclass(frozen=True, slots=True)
class Passage:
    """A way to a target that is ready: seconds until all are there, and the pause of each.

    `slower`: time per token there by that here. `grows`: what each stage of copies leaves to copy,
    as a part of what it copied.
    """

    by: By
    after_s: float
    pause_s: float
    slower: float
    grows: float = 0.0


@dataclass(slots=True)
class Departures:
    """The ways of victims, for the search: of each target, the cheapest that is over in time.

    Money is price_per_s * cards * seconds of whatever is held for the victim's requests from now to
    their end, worth 1 / `value_per_s` seconds each.
    """

    targets: Targets
    value_per_s: float
    most_preemptions: int
    newcomer: ModelSpec
    ends: Ends
    within_s: float = inf
    _returns: dict[int, Return] = field(default_factory=dict)
    _left_s: dict[RequestId, float] = field(default_factory=dict)
    _stays: dict[RequestId, list[Act]] = field(default_factory=dict)
    _passages: dict[Hashable, list[Passage]] = field(default_factory=dict)
    _known: dict[Hashable, list[Departure]] = field(default_factory=dict)

    @property
    def view(self) -> View:
        return self.targets.view

    def of(self, victim: Instance, taken: Sequence[Way]) -> list[Departure]:
        """Cheapest first: one for each target that is left, and one without a target."""
        if not victim.load:
            return [Departure(idle_cost_s(victim, self.view), 0.0)]
        moves = moves_of(taken)
        options: list[Move | None] = [None]
        if len(victim.shards) == 1:
            options += [w for w in self.targets.of(victim, moves) if isinstance(w, Move)]
        limit = self.within_s + SLACK_S
        found = []
        for move in options:
            in_time = [w for w in self._by(victim, move, moves) if w.after_s <= limit]
            if in_time:
                found.append(min(in_time, key=lambda w: w.cost_s))
        return sorted(found, key=lambda w: w.cost_s)

    def mark(self, taken: Sequence[Way]) -> Hashable:
        return self.targets.mark(moves_of(taken))

    def at_least_s(self, victims: Sequence[Instance], fewest: int, taken: Sequence[Way]) -> float:
        """The cheapest so many, each as if it went alone."""
        alone = (min((w.cost_s for w in self.of(v, ())), default=inf) for v in victims)
        return sum(nsmallest(fewest, alone))

    # What one victim and one target come to

    def _by(self, victim: Instance, move: Move | None, taken: Sequence[Move]) -> list[Departure]:
        """By the moment at which the victim is free: the least that its requests lose by then."""
        begin_s = 0.0 if move is None else start_s(move, taken)
        where = None if move is None else (move.node, move.to and move.to.id, move.shard, begin_s)
        key = (victim.id, where)
        known = self._known.get(key)
        if known is None:
            acts = [list(self.acts(f, victim, move, begin_s)) for f in victim.running.values()]
            known = self._known[key] = list(self._departures(victim, move, begin_s, acts))
        return known

    def _departures(
        self, victim: Instance, move: Move | None, begin_s: float, acts: list[list[Act]]
    ) -> Iterator[Departure]:
        moments = sorted({act.after_s for each in acts for act in each})
        if len(moments) > MOST_MOMENTS:
            picked = np.linspace(0, len(moments) - 1, MOST_MOMENTS).round()
            moments = [moments[int(i)] for i in picked]
        for moment in moments:
            chosen = []
            for each in acts:
                in_time = [act for act in each if act.after_s <= moment + SLACK_S]
                if not in_time:
                    break
                chosen.append(min(in_time, key=lambda act: (act.lost_s, act.after_s)))
            else:
                moved = move is not None and any(isinstance(a.how, By) for a in chosen)
                if moved == (move is not None):
                    yield self._departure(victim, move, begin_s, tuple(chosen))

    def _departure(
        self, victim: Instance, move: Move | None, begin_s: float, acts: tuple[Act, ...]
    ) -> Departure:
        after_s = max(act.after_s for act in acts)
        back = self._return(victim)
        shard = None if move is None else move.shard
        pushed = [act for act in acts if isinstance(act.how, Keep)]
        lost_s = sum(act.lost_s for act in acts)
        if shard is None and not (pushed and back.reloads):
            lost_s += idle_cost_s(victim, self.view)  # no instance of the model takes its place
        here = self.view.node(victim.node)
        price = card_price(here) * cards_held(victim.shards, here)
        money = price * after_s
        if shard is not None:
            there = self.view.node(shard.node)
            left_s = max(act.left_s for act in acts if isinstance(act.how, By))
            rent = card_price(there) * cards_held((shard,), there)
            money += rent * (begin_s + left_s)
        if pushed and back.reloads:
            again_s = sum(act.lost_s - back.after_s for act in pushed)
            left_s = max(act.left_s for act in pushed)
            money += price * (reload_s(victim, self.view) + again_s + left_s)
        stays_s = max(self._left_s[request] for request in victim.running)
        cost_s = lost_s + money / self.value_per_s
        return Departure(cost_s, after_s, acts, move, price * stays_s / self.value_per_s)

    # What one request could do

    def acts(
        self, flight: Flight, victim: Instance, move: Move | None, begin_s: float
    ) -> Iterator[Act]:
        """Where it is, and to a target whose model is ready after `begin_s`, if there is one."""
        yield from self._without_target(flight, victim)
        if move is None or not takes(move, flight):
            return
        request, left_s = flight.request.id, self._left_s[flight.request.id]
        for passage in self._passages_to(victim, move):
            tokens = flight.request.prompt_tokens + self.view.tokens_so_far(flight)
            if tokens * passage.grows**MOST_STAGES <= LAST_STAGE_TOKENS:
                after_s = begin_s + passage.after_s
                yield Act(request, passage.by, after_s, passage.pause_s, left_s * passage.slower)

    def _without_target(self, flight: Flight, victim: Instance) -> list[Act]:
        request = flight.request.id
        known = self._stays.get(request)
        if known is not None:
            return known
        left_s = self._left_s[request] = self.ends.left_s(flight, self.view)
        found = self._stays[request] = [Act(request, None, left_s, 0.0, left_s)]
        if flight.attempts <= self.most_preemptions:
            back = self._return(victim)
            again_s = self.view.resume_s(flight, victim.node)
            found.append(Act(request, Keep.TOKENS, 0.0, back.after_s + again_s, left_s))
            pcie = self.view.node(victim.node).links.pcie_bytes_per_s
            swap_s = kv_bytes(flight, victim, self.view) / pcie
            if back.here and swap_s < again_s:
                found.append(Act(request, Keep.KV, swap_s, back.after_s + 2 * swap_s, left_s))
        return found

    def _passages_to(self, victim: Instance, move: Move) -> list[Passage]:
        """By recomputation there, or by copies of its KV blocks; it goes on until a short pause.

        Requests of one victim share the way: each is reckoned as if all took the same.
        """
        known = self._passages.get((victim.id, move.node, move.resume_s))
        if known is not None:
            return known
        view, model = self.view, victim.model
        here, there = view.node(victim.node), view.node(move.node)
        pace = view.estimates.pace(model.id, there.kind)
        decode_s = view.estimates.pace(model.id, here.kind).decode_s_per_token
        slower = pace.decode_s_per_token / decode_s
        pause_s = pace.decode_s_per_token + LAST_ROUND_TOKENS * pace.prefill_s_per_token
        found = [Passage(By.TOKENS, move.resume_s + pause_s, pause_s, slower)]
        per_s = min(here.links.peer_bytes_per_s, there.links.peer_bytes_per_s)
        token_s = model.kv_bytes_per_token / per_s
        if token_s:
            copy_s = sum(kv_bytes(f, victim, view) for f in victim.running.values()) / per_s
            pause_s = min(LAST_STAGE_TOKENS, copy_s / decode_s) * token_s
            grows = token_s / decode_s * len(victim.running)
            found.append(Passage(By.KV, copy_s + pause_s, pause_s, slower, grows))
        self._passages[victim.id, move.node, move.resume_s] = found
        return found

    def _return(self, victim: Instance) -> Return:
        known = self._returns.get(victim.id)
        if known is None:
            known = self._returns[victim.id] = back_again(victim, self.newcomer, self.view)
        return known


def back_again(victim: Instance, newcomer: ModelSpec, view: View) -> Return:
    """A ready instance with slots for all; else where it loads first; else after the newcomer.

    On a full fleet the card comes back once the newcomer has loaded and a mean request has run.
    """
    model, spec = victim.model, view.node(victim.node)
    for other in view.ready(model.id):  # least loaded first
        if other.load + len(victim.running) > other.slots:
            break
        if other is not victim:
            return Return(0.0, False, other.node == victim.node)
    fits = view.nodes.fits(model.need)
    fits[victim.node] = False
    if fits.any() and model.stages == 1:
        ready_at = np.where(fits, view.ready_column(load_s(model, view)), np.inf)
        return Return(float(ready_at.min()) - view.now, True, False)
    source = view.source(newcomer.id, victim.node)
    stay_s = view.estimates.load_s(newcomer, spec, source.tier) + mean_run_s(newcomer, spec, view)
    return Return(stay_s + reload_s(victim, view), True, False)


def mean_run_s(model: ModelSpec, node: NodeSpec, view: View) -> float:
    """Believed seconds that a request decodes, of the model's mean output length."""
    pace = view.estimates.pace(model.id, node.kind)
    return view.estimates.output_tokens(model.id) * pace.decode_s_per_token


def takes(move: Move, flight: Flight) -> bool:
    """Adapters stay where they are attached: a request with one goes only where it is already."""
    adapter = flight.request.adapter
    return adapter is None or (move.to is not None and move.to.has(adapter))


def moves_of(taken: Sequence[Way]) -> list[Move]:
    return [w.move for w in taken if isinstance(w, Departure) and w.move is not None]


def kv_bytes(flight: Flight, victim: Instance, view: View) -> float:
    tokens = flight.request.prompt_tokens + view.tokens_so_far(flight)
    return tokens * victim.model.kv_bytes_per_token


def card_price(node: NodeSpec) -> float:
    """Money a second for one card: its part of the machine's price."""
    return node.price_per_s / node.gpus if node.gpus else 0.0


def cards_held(shards: Sequence[Shard], node: NodeSpec) -> float:
    """Cards of that node's size; a share of a card counts as its part of it."""
    return sum(len(s.gpus) * s.gpu_bytes for s in shards) / node.gpu_bytes
