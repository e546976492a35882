"""Engines and requests with what the driver needs to know of them: who they are, and where."""

from math import inf, isnan

from fleet.commands import Keep
from fleet.domain import CommandId, InstanceId, ModelSpec, NodeId, Shard
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

    @property
    def node(self) -> NodeId:
        """Where its first shard is."""
        return self.shards[0].node

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """Where its shards are."""
        return tuple(shard.node for shard in self.shards)


class Stream(Sequence, gc=False, eq=False):
    """A request from its arrival until its end is reported: what was streamed stays known.

    While `engine` is None it is on no engine: it waits to be dispatched, or its KV is on its way
    there. What it is told meanwhile (`cancelled`, `preempted`) is done when it gets there.
    """

    command: CommandId = CommandId(-1)  # its last dispatch
    engine: Served | None = None
    cancelled: str = ""  # why
    preempted: Keep | None = None
    kv_node: NodeId | None = None  # whose memory holds the KV cache it was preempted with

    @property
    def over(self) -> bool:
        """It has all its tokens; the report may be on its way."""
        return not isnan(self.ended_at)

    def fresh(self) -> "Stream":
        """The same request as if it had streamed nothing."""
        return Stream(
            self.request,
            self.prompt_tokens,
            self.output_tokens,
            self.rank,
            scheduled_at=self.scheduled_at,
            prefix=self.prefix,
            prefix_block_tokens=self.prefix_block_tokens,
            cached_tokens=self.cached_tokens,
            command=self.command,
        )
