"""A small cloud that makes runs to draw: one request an instance at a time, one instance a card.

It is no model of anything; it obeys the rules that a record must obey (loads before servings,
one holder a card) and gives policies that differ: how long an idle instance is kept, where its
weights are found, how often a request moves.
"""

from dataclasses import dataclass, field

import numpy as np

from fleet import commands as c
from fleet import events as e
from fleet.domain import CommandId, InstanceId, RequestId, Tier
from fleet.streams import Streams
from tests.traces.runs import Pair, finish, model, node, on, ready, request, send, shard, start
from traces.collector import record_of
from traces.record import RunRecord

LOAD_S = {Tier.REMOTE: 24.0, Tier.SSD: 6.0, Tier.DRAM: 1.5}


@dataclass
class Card:
    node: int
    gpu: int
    free_at: float = 0.0
    instance: int = -1
    model: int = -1


@dataclass
class SmallCloud:
    """`dram_share` and `ssd_share`: how often a load finds its weights there."""

    nodes: int = 4
    gpus: int = 4
    models: int = 12
    keep_s: float = 60.0
    dram_share: float = 0.3
    ssd_share: float = 0.6
    move_share: float = 0.0
    pairs: list[Pair] = field(default_factory=list)
    instances: int = 0

    def run(self, requests: int, per_s: float, seed: int) -> RunRecord:
        """A record of `requests` Poisson arrivals at `per_s`, Zipf over the models."""
        rng = Streams(seed).array("small cloud")
        cards = [Card(n, g) for n in range(self.nodes) for g in range(self.gpus)]
        arrivals = np.cumsum(rng.exponential(1 / per_s, requests))
        weights = 1 / np.arange(1, self.models + 1)
        picks = rng.choice(self.models, requests, p=weights / weights.sum())
        for number, (at, base) in enumerate(zip(arrivals.tolist(), picks.tolist(), strict=True)):
            self.pairs.append(
                (e.RequestArrived(at, request(number, at, base, tenant=base % 3)), ())
            )
            self._serve(number, at, base, cards, rng)
        self.pairs.sort(key=lambda pair: pair[0].at)
        return record_of(
            self.pairs,
            [node(n, self.gpus) for n in range(self.nodes)],
            [model(m) for m in range(self.models)],
        )

    def _serve(
        self, number: int, at: float, base: int, cards: list[Card], rng: np.random.Generator
    ) -> None:
        warm = [card for card in cards if card.model == base and card.free_at + self.keep_s > at]
        card = min(warm, key=lambda own: own.free_at, default=None)
        if card is None or card.free_at > at + 10.0:
            card = min(cards, key=lambda own: own.free_at)
            self._load(card, max(at, card.free_at), base, rng)
        begin = max(at, card.free_at)
        tokens = int(rng.integers(20, 400))
        first, end = begin + 0.2, begin + 0.2 + 0.03 * tokens
        self.pairs.append(
            (e.TimerFired(begin, CommandId(0), "go"), (send(1, number, card.instance),))
        )
        card.free_at = end
        idle = next((own for own in cards if own.model == base and own.free_at < begin), None)
        if idle is not None and rng.random() < self.move_share:
            middle = (first + end) / 2
            ids = (RequestId(number), InstanceId(card.instance), InstanceId(idle.instance))
            move = 10**6 + number
            order = c.Migrate(CommandId(move), *ids, c.By.TOKENS)
            self.pairs.append((e.TimerFired(first, CommandId(0), "go"), (order,)))
            moved = e.Migrated(middle, CommandId(move), RequestId(number), 0.1, 10**8, 2)
            self.pairs.append((moved, ()))
            card.free_at, idle.free_at = middle, end
        self.pairs.append((finish(number, card.instance, begin, first, end, tokens), ()))

    def _load(self, card: Card, at: float, base: int, rng: np.random.Generator) -> None:
        if card.instance >= 0:
            stopped_at = min(at, card.free_at + self.keep_s)
            stop = e.InstanceStopped(stopped_at, CommandId(0), InstanceId(card.instance))
            self.pairs.append((stop, ()))
        draw = rng.random()
        tier = Tier.REMOTE
        if draw < self.dram_share:
            tier = Tier.DRAM
        elif draw < self.ssd_share:
            tier = Tier.SSD
        load_s = LOAD_S[tier] * rng.uniform(0.8, 1.4)
        instance = self.instances
        self.instances += 1
        place = on(card.node, tier)
        begin = start(2 * instance, instance, place, (shard(card.node, card.gpu),), base)
        self.pairs.append((e.TimerFired(at, CommandId(0), "go"), (begin,)))
        phases = (("weights", load_s * 0.7), ("graphs", load_s * 0.2), ("warm-up", load_s * 0.1))
        self.pairs.append((ready(at + load_s, 2 * instance, instance, load_s, *phases), ()))
        card.instance, card.model, card.free_at = instance, base, at + load_s
