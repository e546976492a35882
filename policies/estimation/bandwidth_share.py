"""Loads of one node that share its bandwidth instead of following one another."""

from dataclasses import dataclass
from typing import ClassVar

from fleet.domain import AdapterSpec, NodeSpec, Tier
from fleet.estimates import SLOWEST_HOP, Belief, Load, Seconds


@dataclass(frozen=True)
class BandwidthShare:
    """Each of k + 1 loads of a node gets B / (k + 1): ready after (k + 1) times its time alone.

    `slowest_hop` lets a small load wait for the end of a large one; in a fair network it passes it.
    """

    source: ClassVar[str] = (
        "HydraServe, NSDI'26, artifact: scripts/kubernetes/vllm/src/resource_manager.py, NetManager"
    )
    departs: ClassVar[str] = (
        "HydraServe offers a node nothing while a fetch there would miss its deadline; here a load "
        "is only believed to be slower. Start-up phases are counted as if they shared the link too."
    )

    def load_s(self, load: Load, node: NodeSpec, belief: Belief) -> float:
        return SLOWEST_HOP.load_s(load, node, belief)

    def attach_s(self, adapter: AdapterSpec, node: NodeSpec, source: Tier, belief: Belief) -> float:
        return SLOWEST_HOP.attach_s(adapter, node, source, belief)

    def ready_at(
        self, alone_s: Seconds, begin_at: Seconds, until: Seconds, loads: Seconds
    ) -> Seconds:
        return begin_at + alone_s * (loads + 1.0)
