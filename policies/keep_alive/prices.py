"""Keeping an instance until it has cost what losing it would: ski rental with prices.

Prices are in the unit of the nodes' prices; a node without one is taken at `price_per_gpu_h`.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import Tier
from fleet.holders import Instance, Phase
from fleet.policy import Rest
from fleet.view import View
from policies.room.clearing import reload_s

#: What nodes without a price are taken to cost, by card and hour.
Price = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True)
class BreakEven:
    """Stop once idling has cost as much as a cold start would: t = load_s * (1 + penalty / price).

    A cold start costs the held cards' price for load_s, and `penalty_per_s` for every second that
    somebody waits for it. Renting up to the price of buying is at most twice as dear as knowing the
    next arrival, whatever comes.
    """

    source: ClassVar[str] = "ski rental: Karlin, Manasse, Rudolph, Sleator (Algorithmica 3, 1988)"
    departs: ClassVar[str] = "One request waits for the load, however many will."

    penalty_per_s: Annotated[float, Meta(ge=0)] = 0.01
    price_per_gpu_h: Price = 2.0

    def rest(self, instance: Instance, view: View) -> Rest | None:
        price = held_price_per_s(instance, self.price_per_gpu_h, view)
        return Rest(break_even_s(reload_s(instance, view), price, price, self.penalty_per_s))


@dataclass(frozen=True)
class Ladder:
    """Step down when a rung has cost what stepping back up from the next one would.

    Awake, an instance costs its cards: after wake_s * (1 + penalty / cards' price) it sleeps, its
    weights in DRAM. Asleep it costs DRAM: after the seconds for which its weights' DRAM costs what
    a cold start costs more than a wake, it stops. The copy stays in DRAM as long as the retention
    policy likes. A model whose wake is no faster than its load, or of several stages, never sleeps:
    it is kept as by `break_even`.
    """

    source: ClassVar[str] = "this project's: break-even by rung; rungs as in vLLM's sleep mode"

    penalty_per_s: Annotated[float, Meta(ge=0)] = 0.01
    price_per_gpu_h: Price = 2.0
    dram_price_per_gb_h: Price = 0.005

    def rest(self, instance: Instance, view: View) -> Rest | None:
        cards = held_price_per_s(instance, self.price_per_gpu_h, view)
        load_s, wake_s = reload_s(instance, view), wake_up_s(instance, view)
        if instance.phase is Phase.ASLEEP:
            dram = self.dram_price_per_gb_h * instance.model.weight_bytes / 1e9 / 3600.0
            lost_s = max(0.0, load_s - wake_s)
            return Rest(break_even_s(lost_s, dram, cards, self.penalty_per_s))
        if wake_s >= load_s or instance.model.stages > 1:
            return Rest(break_even_s(load_s, cards, cards, self.penalty_per_s))
        return Rest(break_even_s(wake_s, cards, cards, self.penalty_per_s), level=1)


def break_even_s(lost_s: float, rent_per_s: float, cards_per_s: float, penalty: float) -> float:
    """For how long a rent comes to what losing `lost_s` of cards and patience costs."""
    return lost_s * (cards_per_s + penalty) / rent_per_s


def held_price_per_s(instance: Instance, price_per_gpu_h: float, view: View) -> float:
    """Of the card memory it holds: a node's price is shared by its cards, a card's by its bytes."""
    price = 0.0
    for shard in instance.shards:
        node = view.node(shard.node)
        a_card = node.price_per_s / max(1, node.gpus) or price_per_gpu_h / 3600.0
        price += a_card * len(shard.gpus) * shard.gpu_bytes / node.gpu_bytes
    return price


def wake_up_s(instance: Instance, view: View) -> float:
    """Believed seconds to wake it with its weights in DRAM."""
    return view.estimates.wake_s(instance.model, view.node(instance.node), Tier.DRAM)
