"""A load, whatever it loads: phases, then bytes over links; slow, broken off, cut or stopped.

Every load is one SimPy process. This knows what can come between it and its end, not what is
loaded nor who is told.
"""

import random
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import ExitStack
from enum import Enum, auto
from typing import Any, Final, TypeAlias

import simpy

from fleet.domain import InstanceId, NodeId, NodeSpec, Place, Shard
from sim.faults import UNDISTURBED, LoadOutcome
from sim.links import Transfer
from sim.profiles import Profile
from sim.storage import NodeStorage, Storage

Work: TypeAlias = Generator[simpy.Event, Any, None]


class End(Enum):
    """How a load ended. Nobody hears of one that is GONE: its node was lost, or its instance
    stopped or lost, and the report of that answers it."""

    DONE = auto()
    FAILED = auto()
    CUT = auto()
    NO_MEMORY = auto()  # all is loaded, and no block of KV cache fits beside it
    GONE = auto()

    @property
    def reason(self) -> str:
        """For `CommandFailed`."""
        return REASONS[self]


REASONS: Final = {
    End.FAILED: "load_failed",
    End.CUT: "source_lost",
    End.NO_MEMORY: "no_memory_for_kv",
}


class SourceLost(Exception):  # noqa: N818 - says what is the case, as the events do
    """The node that a load was to read from is not there any more."""


class Load:
    """One load to a node. `instance` is whom it is for, if any; one of `weights` may have to wait
    for its turn."""

    __slots__ = (
        "base_s",
        "instance",
        "moving",
        "node",
        "outcome",
        "phases_s",
        "queued_s",
        "weights",
    )

    def __init__(
        self,
        node: NodeId,
        instance: InstanceId | None = None,
        phases_s: float = 0.0,
        outcome: LoadOutcome = UNDISTURBED,
        *,
        weights: bool = False,
    ) -> None:
        self.weights = weights
        self.queued_s = 0.0
        self.base_s = 0.0  # the longest of what its sources take besides bytes
        self.node = node
        self.instance = instance
        self.phases_s = phases_s
        self.outcome = outcome
        self.moving: list[Transfer] = []

    def broken_off(self, nbytes: float) -> float:
        """How many of the bytes move, if the load breaks off on the way."""
        fraction = self.outcome.fails_after_fraction
        return nbytes if fraction is None else nbytes * fraction


class Loads:
    """`profiles` by node kind; without `noise` nothing has a spread."""

    def __init__(
        self,
        env: simpy.Environment,
        storage: Storage,
        profiles: Mapping[str, Profile],
        noise: random.Random | None,
    ) -> None:
        self.env = env
        self.storage = storage
        self._profiles = profiles
        self._noise = noise
        self._under_way: dict[simpy.Process, Load] = {}
        self._by_instance: dict[InstanceId, dict[simpy.Process, None]] = {}
        self._turns: dict[NodeId, simpy.Resource] = {}

    def __len__(self) -> int:
        """Loads under way."""
        return len(self._under_way)

    def join(self, spec: NodeSpec) -> NodeStorage:
        """A node with empty shelves, and links that share as its kind's profile says."""
        return self.storage.join(spec, self._profiles[spec.kind].sharing_loss())

    def profile(self, node: NodeId) -> Profile:
        """Of a node that is there."""
        return self._profiles[self.storage.nodes[node].spec.kind]

    def carry(
        self, load: Load, transfers: Callable[[], list[Transfer]]
    ) -> Generator[simpy.Event, Any, End]:
        """Phases, then bytes, then what a load takes besides them, which breaks off with them.

        Runs in a process of its own, which an interrupt can end.
        """
        process = self.env.active_process
        assert process is not None, "a load runs as a process"
        self._enter(process, load)
        try:
            if load.phases_s > 0.0:
                yield self.env.timeout(load.phases_s)
            with ExitStack() as stack:
                if load.weights and self.profile(load.node).loads_in_turn:
                    asked_at = self.env.now
                    yield stack.enter_context(self._turn(load.node))
                    load.queued_s = self.env.now - asked_at
                load.moving += transfers()
                yield self.env.all_of(load.moving)
                if load.base_s > 0.0 and load.outcome.fails_after_fraction is None:
                    yield self.env.timeout(load.base_s)
        except SourceLost:
            return End.CUT
        except simpy.Interrupt as interrupt:
            for transfer in load.moving:
                transfer.cancel()
            return _why(interrupt)
        finally:
            self._leave(process, load)
        return End.DONE if load.outcome.fails_after_fraction is None else End.FAILED

    def _turn(self, node: NodeId) -> simpy.resources.resource.Request:
        """A place in the queue of the node's loader; leaving it, however, gives it up."""
        turns = self._turns.get(node)
        if turns is None:
            turns = self._turns[node] = simpy.Resource(self.env)
        return turns.request()

    def _enter(self, process: simpy.Process, load: Load) -> None:
        self._under_way[process] = load
        if load.instance is not None:
            self._by_instance.setdefault(load.instance, {})[process] = None

    def _leave(self, process: simpy.Process, load: Load) -> None:
        del self._under_way[process]
        if load.instance is not None:
            others = self._by_instance[load.instance]
            del others[process]
            if not others:
                del self._by_instance[load.instance]

    def give_up(self, instance: InstanceId) -> None:
        """Its instance stops or is lost: what is loaded for it is of no use."""
        for process in list(self._by_instance.get(instance, ())):
            process.interrupt(End.GONE)

    def lose(self, node: NodeId, cut: Collection[Transfer]) -> None:
        """A node is lost; `cut` are the transfers that crossed one of its links."""
        lost = set(cut)
        for process, load in list(self._under_way.items()):
            if load.node == node:
                process.interrupt(End.GONE)
            elif not lost.isdisjoint(load.moving):
                process.interrupt(End.CUT)

    def to_cards(self, load: Load, nbytes: float, source: Place, shard: Shard) -> list[Transfer]:
        """Start moving weights to a shard's cards, each an equal part. Raises SourceLost."""
        self._look_for(source)
        return self.storage.load(
            load.broken_off(nbytes),
            source,
            shard,
            chunk_bytes=self.profile(shard.node).chunk_bytes,
            cap_bytes_per_s=self._cap(load, source, shard.node, len(shard.gpus)),
        )

    def to_tier(self, load: Load, nbytes: float, source: Place, target: Place) -> list[Transfer]:
        """Start copying to a tier of the load's node. Raises SourceLost."""
        self._look_for(source)
        transfer = self.storage.fetch(
            load.broken_off(nbytes),
            source,
            target,
            chunk_bytes=self.profile(load.node).chunk_bytes,
            cap_bytes_per_s=self._cap(load, source, load.node, 1),
        )
        return [transfer]

    def _look_for(self, source: Place) -> None:
        if source.node is not None and source.node not in self.storage.nodes:
            raise SourceLost

    def _cap(self, load: Load, source: Place, node: NodeId, cards: int) -> float:
        """What one card's transfer may take; notes what the load takes besides its bytes."""
        peer = source.node is not None and source.node != node
        profile, slow_factor = self.profile(node), load.outcome.slow_factor
        cap = profile.load_cap_bytes_per_s(source.tier, self._noise, cards=cards, peer=peer)
        base_s = profile.load_base_s(source.tier, self._noise, peer=peer)
        load.base_s = max(load.base_s, base_s * slow_factor)
        return cap / slow_factor


def _why(interrupt: simpy.Interrupt) -> End:
    assert isinstance(interrupt.cause, End), "loads are interrupted from here only"
    return interrupt.cause
