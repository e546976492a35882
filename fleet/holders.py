"""Holders of GPU shares (instances; fine-tuning jobs are to be another), and requests in flight."""

import math
from enum import Enum, auto
from itertools import islice

from fleet.cards import Claim
from fleet.commands import Command
from fleet.domain import (
    AdapterId,
    CommandId,
    InstanceId,
    ModelSpec,
    NodeId,
    Request,
    RequestId,
    Shard,
    Tier,
)
from fleet.ledger import Cause, Meter
from fleet.plans import StepId
from fleet.pools import Entry, Pool, Stay


class Phase(Enum):
    PLANNED = auto()  # its memory is claimed; others are making room
    LOADING = auto()
    READY = auto()
    DRAINING = auto()  # takes no new request; stops when a plan or its last request lets it
    STOPPING = auto()
    SLEEPING = auto()  # on its way to sleep
    ASLEEP = auto()
    WAKING = auto()


class Holder:
    """GPU memory on some cards, metered. Reservation, loss and the ledger know only this."""

    __slots__ = ("claim", "meter", "promised_to")

    def __init__(self, shards: tuple[Shard, ...], cause: Cause, now: float) -> None:
        self.claim = Claim(shards)
        self.meter = Meter(Tier.GPU, cause, now)
        self.promised_to: Claim | None = None  # who gets its memory when it goes

    @property
    def shards(self) -> tuple[Shard, ...]:
        return self.claim.shards

    @property
    def node(self) -> NodeId:
        """Where its first stage is."""
        return self.claim.shards[0].node


class Flight:
    """A request between its arrival and its end."""

    __slots__ = (
        "attempts",
        "command",
        "dispatched_at",
        "instance",
        "leaving",
        "move",
        "request",
        "told",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.instance: Instance | None = None
        self.command = CommandId(-1)  # its dispatch, while it has one
        self.attempts = 0
        self.told: tuple[CommandId, ...] = ()  # open orders to preempt or cancel it
        self.dispatched_at = 0.0
        self.leaving = ""  # why it was told to end: a cancel's reason
        self.move: Move | None = None


class Move:
    """A live migration under way: the target's slot is reserved."""

    __slots__ = ("command", "flight", "source", "target")

    def __init__(
        self, command: CommandId, flight: Flight, source: "Instance", target: "Instance"
    ) -> None:
        self.command = command
        self.flight = flight
        self.source = source
        self.target = target


class Instance(Holder):
    """A running copy of a model. `load` counts its requests and the slots reserved on it."""

    __slots__ = (
        "adapters",
        "alone_s",
        "dispatched_s",
        "held_back",
        "id",
        "idle_since",
        "inbound",
        "load",
        "model",
        "phase",
        "pinned",
        "prompt_tokens",
        "queued_s",
        "rest_at",
        "rest_level",
        "rest_timer_at",
        "running",
        "slots",
        "started_at",
        "step",
        "stop_step",
    )

    def __init__(
        self, id: InstanceId, model: ModelSpec, shards: tuple[Shard, ...], cause: Cause, now: float
    ) -> None:
        super().__init__(shards, cause, now)
        self.id = id
        self.model = model
        self.phase = Phase.PLANNED
        self.slots = model.max_sequences
        self.load = 0
        self.inbound: dict[RequestId, Move] = {}
        self.running: dict[RequestId, Flight] = {}
        self.prompt_tokens = 0  # of those that run
        self.dispatched_s = 0.0  # the sum of the times at which those that run were dispatched
        self.adapters = Pool(Tier.GPU, model.max_adapters)
        self.step: StepId | None = None  # the plan step that starts, wakes or stops it
        # Its stop or sleep, held back until its last request ends, and the step that it is.
        self.stop_step: StepId | None = None
        self.held_back: Command | None = None
        self.alone_s = 0.0  # what its load was believed to take by itself
        self.queued_s = 0.0  # what its load was believed to wait for others on its node
        self.pinned: list[Entry] = []  # the copy in DRAM that it sleeps on
        self.started_at = now
        self.idle_since = now
        self.rest_at = 0.0  # when an idle instance is to stop or sleep
        self.rest_level = 0  # 0: stop, else the sleep level
        self.rest_timer_at = math.inf  # when the earliest timer set for that fires

    def has(self, adapter: AdapterId) -> bool:
        """Whether the adapter is attached and can serve."""
        return self.adapters.has(adapter)

    def can_take(self, adapter: AdapterId) -> bool:
        """Whether the adapter is attached, on its way, or could be given a slot at once.

        While others are on their way out of slots that are promised, more than one must make room.
        """
        entry = self.adapters.entries.get(adapter)
        if entry is not None:
            return entry.stay is not Stay.GOING
        needed = 1 - self.adapters.free
        return needed <= 0 or len(list(islice(self.adapters.evictable(), needed))) == needed
