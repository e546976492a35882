"""Engines and requests with what the cluster needs to know of them: who they are."""

from math import inf

from fleet.domain import CommandId, InstanceId, ModelSpec, Shard
from sim.card import Card
from sim.engine import Engine
from sim.pace import EnginePace
from sim.sequence import Sequence


class Served(Engine):
    """The engine of one instance. `armed_at` is the wake-up that the calendar holds for it."""

    __slots__ = ("armed_at", "instance", "model", "shards")

    def __init__(
        self,
        instance: InstanceId,
        model: ModelSpec,
        shards: tuple[Shard, ...],
        pace: EnginePace,
        kv_blocks: int,
        card: Card | None,
    ) -> None:
        super().__init__(pace, model.max_sequences, kv_blocks, card)
        self.instance = instance
        self.model = model
        self.shards = shards
        self.armed_at = inf


class Stream(Sequence, gc=False, eq=False):
    """A request from its arrival to its end: what has been streamed stays known to the driver."""

    command: int = CommandId(-1)
    engine: Served | None = None
    cancelled: str = ""  # why, if told so between two engines
