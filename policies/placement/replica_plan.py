"""How many replicas of which model should lie on which node: AlpaServe's static placement.

It plans for empty cards from rates and beliefs. It does not know what runs where, nor how a plan is
carried out; it grows with cards, so it belongs on a timer.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.domain import ModelId, ModelSpec, NodeId, Part, Share
from fleet.view import View
from policies.placement.replica_programme import replica_counts

Variant: TypeAlias = Literal["greedy", "ilp"]
Plan: TypeAlias = dict[ModelId, dict[NodeId, int]]


@dataclass(frozen=True)
class Demand:
    """What is asked of a model: requests a second, and how long each holds a slot."""

    model: ModelSpec
    rate: float
    service_s: float
    slack_s: float  # how long a request may wait and still meet its objective

    @property
    def replicas_worth(self) -> float:
        """Throughput of one replica over the rate: AlpaServe's thr_i / rate_i."""
        return self.model.max_sequences / (self.service_s * self.rate)


#: Room for one more replica of a demand, or None. Takes it.
Take: TypeAlias = Callable[[Demand], NodeId | None]


class Cards:
    """Free bytes by node and card, of a fleet on which nothing runs."""

    def __init__(self, view: View) -> None:
        nodes = view.nodes
        widest = max((spec.gpus for spec in nodes.specs), default=0)
        self.free: npt.NDArray[np.int64] = np.zeros((len(nodes), widest), np.int64)
        for spec in nodes.specs:
            if nodes.alive[spec.id]:
                self.free[spec.id, : spec.gpus] = spec.gpu_bytes
        self.size = np.array([spec.gpu_bytes for spec in nodes.specs], np.int64)

    @property
    def alive(self) -> int:
        return int((self.free > 0).sum())

    def needed(self, share: Share) -> float:
        """Cards that a replica takes; a share of one counts by its memory."""
        if isinstance(share, Part):
            return share.gpu_bytes / float(self.size.max(initial=1))
        return float(share.gpus)

    def places(self, share: Share) -> int:
        """Replicas that would fit if nothing else did."""
        if isinstance(share, Part):
            return int((self.free // share.gpu_bytes).sum())
        whole = (self.free == self.size[:, None]) & (self.free > 0)
        return int((whole.sum(axis=1) // share.gpus).sum())

    def take(self, share: Share, prefer: npt.NDArray[np.int8]) -> NodeId | None:
        """Room for one replica on the most preferred node of those that have it, ties by node."""
        if isinstance(share, Part):
            fits = (self.free >= share.gpu_bytes).any(axis=1)
        else:
            fits = (self.free == self.size[:, None]).sum(axis=1) >= share.gpus
        if not fits.any():
            return None
        node = int(np.where(fits, prefer, -1).argmax())
        cards = self.free[node]
        if isinstance(share, Part):
            fullest = np.where(cards >= share.gpu_bytes, cards, np.iinfo(np.int64).max).argmin()
            cards[fullest] -= share.gpu_bytes
        else:
            cards[np.flatnonzero(cards == self.size[node])[: share.gpus]] = 0
        return NodeId(node)


def plan(view: View, variant: Variant, ttft_slo_s: float, least_gain: float) -> Plan:
    """Replicas by model and node, for the rates as they are."""
    wanted, cards = demands(view, ttft_slo_s), Cards(view)

    def take(demand: Demand) -> NodeId | None:
        return cards.take(demand.model.need, view.tiers(demand.model.id))

    if variant == "greedy":
        return greedy(wanted, least_gain, take)
    return fairest(wanted, [cards.places(d.model.need) for d in wanted], cards, take)


@dataclass(frozen=True)
class Planned:
    """What a rule that follows such a plan keeps: its parameters, and the plan last made."""

    source: ClassVar[str] = (
        "AlpaServe, OSDI'23, section 4.2; alpa_serve/placement_policy/selective_replication.py"
    )

    every_s: Annotated[float, Meta(gt=0)] = 60.0
    variant: Variant = "greedy"
    ttft_slo_s: Annotated[float, Meta(ge=0)] = 10.0
    least_gain: Annotated[float, Meta(ge=0, le=1)] = 1e-3
    _plan: Plan = field(default_factory=dict, init=False, repr=False, compare=False)

    def replan(self, view: View) -> None:
        self._plan.clear()
        self._plan.update(plan(view, self.variant, self.ttft_slo_s, self.least_gain))


def demands(view: View, ttft_slo_s: float, least_rate: float = 1e-3) -> list[Demand]:
    """Of every model of one stage with at least that many requests a second."""
    if not len(view.nodes):
        return []
    kind = view.nodes.specs[0].kind
    found = []
    for model in view.models():
        rate = view.rate(model.id)
        if rate >= least_rate and model.stages == 1:
            pace = view.estimates.pace(model.id, kind)
            service_s = view.estimates.output_tokens(model.id) * pace.decode_s_per_token
            found.append(Demand(model, rate, service_s, ttft_slo_s))
    return found


# Greedy: the replica that helps most, again and again


def greedy(wanted: Sequence[Demand], least_gain: float, take: Take) -> Plan:
    """AlpaServe's greedy selection, with a closed form in place of its simulator.

    Adds the replica that raises the requests a second within their objective most, until it is by
    less than `least_gain` of all requests or no cards are left for any.
    """
    total = sum(d.rate for d in wanted)
    gains = [(-_gain(d, 0), i, 0) for i, d in enumerate(wanted)]
    heapq.heapify(gains)
    found: Plan = {}
    while gains:
        gain, i, replicas = heapq.heappop(gains)
        if -gain < least_gain * total:
            break
        if _add(wanted[i], take, found):  # else there is no room for its size any more
            heapq.heappush(gains, (-_gain(wanted[i], replicas + 1), i, replicas + 1))
    return found


def _add(demand: Demand, take: Take, to: Plan) -> bool:
    node = take(demand)
    if node is None:
        return False
    mine = to.setdefault(demand.model.id, {})
    mine[node] = mine.get(node, 0) + 1
    return True


def _gain(demand: Demand, replicas: int) -> float:
    return demand.rate * (attained(demand, replicas + 1) - attained(demand, replicas))


def attained(demand: Demand, replicas: int) -> float:
    """The share of requests that start within their slack, with so many replicas.

    M/M/c with c slots: 1 - C * exp(-(c - a) * slack / service), C Erlang's delay probability and a
    the offered load; never less than the 1 - B that find a free slot, where B is Erlang's loss
    probability, as AlpaServe's simulator drops what comes too late.
    """
    slots, load = replicas * demand.model.max_sequences, demand.rate * demand.service_s
    if not slots:
        return 0.0
    lost = erlang_b(slots, load)
    if load >= slots:
        return 1.0 - lost
    delayed = lost / (1.0 - load / slots * (1.0 - lost))
    late = delayed * math.exp(-(slots - load) * demand.slack_s / demand.service_s)
    return 1.0 - min(lost, late)


def erlang_b(servers: int, load: float) -> float:
    """Erlang's loss probability, by its recursion; 0 once it is below any that matters."""
    lost = 1.0
    for n in range(1, servers + 1):
        lost = load * lost / (n + load * lost)
        if lost < 1e-12 and n > load:
            return 0.0
    return lost


# The integer programme


def fairest(wanted: Sequence[Demand], places: Sequence[int], cards: Cards, take: Take) -> Plan:
    """The counts that make the least throughput over rate greatest, largest replicas placed first.

    `places` is how many replicas of each demand fit on empty cards. The programme counts cards, not
    nodes: what then finds no node of its size left is left out.
    """
    needs = [cards.needed(d.model.need) for d in wanted]
    worth = [d.replicas_worth for d in wanted]
    counts = replica_counts(worth, needs, places, cards.alive)
    found: Plan = {}
    for i in sorted(range(len(wanted)), key=lambda i: (-needs[i], i)):
        for _ in range(counts[i]):
            if not _add(wanted[i], take, found):
                break
    return found
