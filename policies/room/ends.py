"""What the ends of requests teach: how often cards come free by themselves, and how long runs last.

It sees ends one by one and decides nothing.
"""

from collections import deque
from dataclasses import dataclass, field
from math import exp, inf

import numpy as np

from fleet.domain import ModelId, ModelSpec, Whole
from fleet.holders import Flight, Instance
from fleet.view import View
from policies.room.draining import remaining

#: How far back the rate is remembered at which instances go idle.
MEMORY_S = 60.0
#: How long a model of several cards waits beside others before cards are kept for it.
PATIENCE_S = 60.0
#: Lengths that are kept of each model, and of all together; fewer than the least teach nothing.
OWN_LENGTHS = 64
ALL_LENGTHS = 256
LEAST_LENGTHS = 8


@dataclass
class Ends:
    """An exponential mean of ends that left an instance idle, and the last output lengths."""

    count: float = 0.0
    at: float = 0.0
    lengths: dict[ModelId, deque[int]] = field(default_factory=dict)
    all_lengths: deque[int] = field(default_factory=lambda: deque(maxlen=ALL_LENGTHS))

    def saw(self, instance: Instance, tokens: int, now: float) -> None:
        """A request of so many tokens ended on the instance, which still counts it."""
        own = self.lengths.setdefault(instance.model.id, deque(maxlen=OWN_LENGTHS))
        own.append(tokens)
        self.all_lengths.append(tokens)
        if instance.load == 1:
            self.count = self.count * exp((self.at - now) / MEMORY_S) + 1.0
            self.at = now

    def per_s(self, now: float) -> float:
        """How often instances went idle, over a memory that is as long as the run at first."""
        seen_s = MEMORY_S * (1.0 - exp(-now / MEMORY_S))
        return self.count * exp((self.at - now) / MEMORY_S) / seen_s if seen_s else 0.0

    def until_free_s(self, model: ModelSpec, view: View) -> float:
        """Seconds until cards for the model come free by themselves; inf before any did.

        The next end anywhere serves a model of one card; several cards must come free on one node.
        Where others wait too, what comes free is theirs by turns: to clear cards is to overtake
        them, which gains no more than they lose, so that is as if nothing had to be waited for.
        But others take cards one by one, so a model of several that has waited long would for ever.
        """
        per_s = self.per_s(view.now)
        if not per_s:
            return inf
        cards = model.need.gpus if isinstance(model.need, Whole) else 1
        if view.waiting() > view.queued(model.id):
            starves = cards > 1 and view.oldest_wait_s(model.id) >= PATIENCE_S
            return inf if starves else 0.0
        return (1 if cards == 1 else cards * len(view.nodes)) / per_s

    def left_s(self, flight: Flight, view: View) -> float:
        """Expected seconds until a running request ends: the mean of those that were longer, less
        what it has; as long again if none was. Before lengths were seen: `draining.remaining`."""
        own = self.lengths.get(flight.request.model, ())
        seen = own if len(own) >= LEAST_LENGTHS else self.all_lengths
        if len(seen) < LEAST_LENGTHS:
            return remaining(flight, view)
        assert flight.instance is not None, "it runs"
        so_far = view.tokens_so_far(flight)
        lengths = np.array(seen, np.float64)
        longer = lengths[lengths > so_far]
        left = float(longer.mean()) - so_far if len(longer) else so_far
        pace = view.estimates.pace(flight.request.model, view.node(flight.instance.node).kind)
        return left * pace.decode_s_per_token
