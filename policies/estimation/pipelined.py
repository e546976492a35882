"""Load times of a pipeline of tiers: the slowest hop, and a chunk at each further one.

It knows what specs say of links; it learns nothing.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import AdapterSpec, NodeSpec, Tier
from fleet.estimates import SLOWEST_HOP, Belief, Load, Seconds


@dataclass(frozen=True)
class Pipelined:
    """Start-up plus max over hops of n / b, plus (H - 1) * chunk / min b for filling the pipeline.

    H hops from the closest tier that holds the model; a chunk is never larger than a card's part.
    Cards that load at once share the store's link and the SSD, and have a PCIe link each. The
    node's loads follow one another, as in `slowest_hop`.
    """

    source: ClassVar[str] = "ServerlessLLM, OSDI'24, section 4.2 (multi-tier loading pipeline)"

    chunk_bytes: Annotated[float, Meta(ge=0)] = 32 * 2**20

    def load_s(self, load: Load, node: NodeSpec, belief: Belief) -> float:
        return belief.startup_s + pipelined_s(load, node, self.chunk_bytes)

    def attach_s(self, adapter: AdapterSpec, node: NodeSpec, source: Tier, belief: Belief) -> float:
        hops = hops_bytes_per_s(node, source, 1)
        return belief.attach_s + through_s(adapter.weight_bytes, hops, self.chunk_bytes)

    def ready_at(
        self, alone_s: Seconds, begin_at: Seconds, until: Seconds, loads: Seconds
    ) -> Seconds:
        return SLOWEST_HOP.ready_at(alone_s, begin_at, until, loads)


def pipelined_s(load: Load, node: NodeSpec, chunk_bytes: float) -> float:
    """Seconds that a load's bytes alone take, an equal part to each of its cards."""
    hops = hops_bytes_per_s(node, load.source, load.gpus)
    return through_s(load.nbytes / load.gpus, hops, chunk_bytes)


def through_s(nbytes: float, hops: tuple[float, ...], chunk_bytes: float) -> float:
    """Seconds for bytes through hops of so many bytes a second each, chunk by chunk."""
    filling_bytes = (len(hops) - 1) * min(chunk_bytes, nbytes)
    return (nbytes + filling_bytes) / min(hops)


def hops_bytes_per_s(node: NodeSpec, source: Tier, gpus: int) -> tuple[float, ...]:
    """What each card gets of every link on the way from a tier of its node, or from the store."""
    links = node.links
    if source >= Tier.DRAM:
        return (links.pcie_bytes_per_s,)
    shared = links.ssd_bytes_per_s if source is Tier.SSD else links.remote_bytes_per_s
    return shared / gpus, links.pcie_bytes_per_s
