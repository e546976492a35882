"""Attach times of adapters, learned as a straight line."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from fleet.commands import AttachAdapter
from fleet.domain import AdapterSpec, NodeSpec, Tier
from fleet.estimates import SLOWEST_HOP, Belief, Load, Seconds, TierKind
from fleet.events import AdapterAttached
from fleet.view import View


class Line:
    """Least squares of y on x from running sums."""

    __slots__ = ("n", "x", "xx", "xy", "y")

    def __init__(self) -> None:
        self.n = self.x = self.y = self.xx = self.xy = 0.0

    def saw(self, x: float, y: float) -> None:
        self.n += 1.0
        self.x += x
        self.y += y
        self.xx += x * x
        self.xy += x * y

    def at(self, x: float) -> float | None:
        """The fitted y, never negative; None before two different x were seen."""
        spread = self.n * self.xx - self.x * self.x
        if spread <= 1e-9 * self.n * self.xx:
            return None
        slope = (self.n * self.xy - self.x * self.y) / spread
        return max(0.0, (self.y - slope * self.x) / self.n + slope * x)


@dataclass(frozen=True)
class RankLinear:
    """Attaching takes t0 + slope * rank, fitted online by tier and node kind.

    An adapter's bytes are linear in its rank: n = 2 * r * sum over modules of (d_in + d_out) *
    bytes. `by` "bytes" fits on those, for adapters of base models of different widths. Until two
    different ranks were seen, `slowest_hop`'s prior counts, as it does for whole models.
    """

    source: ClassVar[str] = (
        "Toppings (CaraServe), ATC'25, section 4 (cost linear in rank); ServerlessLLM's LoRA loads"
    )
    departs: ClassVar[str] = "Toppings profiles offline and fits steps of a batch; this fits loads."

    observes: ClassVar = (AdapterAttached,)

    by: Literal["rank", "bytes"] = "rank"
    _lines: dict[TierKind, Line] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def load_s(self, load: Load, node: NodeSpec, belief: Belief) -> float:
        return SLOWEST_HOP.load_s(load, node, belief)

    def attach_s(self, adapter: AdapterSpec, node: NodeSpec, source: Tier, belief: Belief) -> float:
        line = self._lines.get((source, node.kind))
        fitted = None if line is None else line.at(self._size(adapter))
        return SLOWEST_HOP.attach_s(adapter, node, source, belief) if fitted is None else fitted

    def ready_at(
        self, alone_s: Seconds, begin_at: Seconds, until: Seconds, loads: Seconds
    ) -> Seconds:
        return SLOWEST_HOP.ready_at(alone_s, begin_at, until, loads)

    def observe(self, fact: AdapterAttached, view: View) -> None:
        attach = view.ordered(fact.command)
        if not isinstance(attach, AttachAdapter):
            return
        adapter = view.known_adapter(fact.adapter)
        if adapter is None:  # removed from the store while it was on its way
            return
        node = view.node(view.instance(fact.instance).node)
        source = attach.source
        tier = source.tier if source.node == node.id else Tier.REMOTE
        line = self._lines.setdefault((tier, node.kind), Line())
        line.saw(self._size(adapter), fact.load_s)

    def _size(self, adapter: AdapterSpec) -> float:
        return float(adapter.rank if self.by == "rank" else adapter.weight_bytes)
