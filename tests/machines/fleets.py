"""Small fleets: every shape of model in units a person can add up.

A card has 80 bytes, a node's memory 100 and its SSD 160, so that two models fill a tier.
"""

from functools import partial

from fleet.controller import Setup
from fleet.domain import (
    LinkSpec,
    ModelSpec,
    NodeId,
    NodeSpec,
    Part,
    Whole,
)
from fleet.limits import Limits
from tests import specs

CARD_BYTES = 80
LINKS = LinkSpec(10.0, 40.0, 80.0, 20.0)


def node(number: int, gpus: int = 2, dram_bytes: int = 100, ssd_bytes: int = 160) -> NodeSpec:
    return NodeSpec(
        NodeId(number), f"n{number}", "A40", gpus, CARD_BYTES, dram_bytes, ssd_bytes, LINKS
    )


model = partial(specs.model, weight_bytes=50)


adapter = partial(specs.adapter, weight_bytes=5)


#: One card; two cards of a node; shares of a card; two stages; adapters in one slot and in two.
MODELS = (
    model(0, Whole(1)),
    model(1, Whole(2), weight_bytes=90, slots=1),
    model(2, Part(30), weight_bytes=20, adapters=1),
    model(3, Part(50), weight_bytes=40, slots=1),
    model(4, Whole(1), weight_bytes=80, stages=2),
    model(5, Whole(1), adapters=2, slots=3),
)
ADAPTERS = (adapter(10, 2), adapter(11, 2), adapter(12, 5), adapter(13, 5), adapter(14, 5))


def setup(
    gpus: tuple[int, ...] = (2,),
    models: tuple[ModelSpec, ...] = MODELS,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    *,
    dram_bytes: int = 100,
    seed: int = 0,
) -> Setup:
    """One node for each number of GPUs, and the adapters of the models given."""
    known = {m.id for m in models}
    return Setup(
        tuple(node(i, n, dram_bytes) for i, n in enumerate(gpus)),
        models,
        tuple(a for a in ADAPTERS if a.model in known),
        limits=limits,
        seed=seed,
    )
