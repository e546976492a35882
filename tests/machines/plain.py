"""Plain answers to every question, so that the kernel is tested without the catalogue.

First fit, evict the idle (or preempt, or move away), least recently used, a fixed keep-alive. Each
is as short as it can be; none is meant to be good.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleet.cards import pick
from fleet.commands import (
    By,
    Command,
    Fetch,
    Keep,
    Migrate,
    Preempt,
    StartInstance,
    StopInstance,
    Wake,
)
from fleet.domain import (
    REMOTE,
    ArtifactId,
    ModelId,
    ModelSpec,
    NodeId,
    Place,
    Request,
    Shard,
    Tier,
)
from fleet.holders import Flight, Instance, Phase
from fleet.lanes import Lane, Lanes
from fleet.needs import Need, Needs
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import FULL, Clearing, Placed, Policy, Refuse, Rest, Room
from fleet.pools import Entry, Pool
from fleet.view import View


class AdmitAll:
    def admit(self, request: Request, view: View) -> Refuse | None:
        return None


class OldestLane:
    def next(self, lanes: Lanes, view: View) -> Lane | None:
        return lanes.oldest()


class OldestNeed:
    def next(self, needs: Needs, view: View) -> Need | None:
        return needs.oldest()


class AttachedFirst:
    """An instance that has the adapter, else one that could get it; the least loaded of them."""

    def route(self, request: Request, view: View) -> Instance | None:
        free = [i for i in view.ready(request.model) if i.load < i.slots]
        adapter = request.adapter
        if adapter is None:
            return free[0] if free else None
        having = [i for i in free if i.has(adapter)]
        able = [i for i in free if i.can_take(adapter)]
        return next(iter(having + able), None)


class OneMore:
    """One instance more than are ready, while something waits and those are full."""

    def wanted(self, model: ModelId, view: View) -> int:
        ready = view.ready(model)
        return len(ready) + (view.queued(model) > 0 and not ready.has_slot())


class FirstFit:
    """Wake what sleeps on free cards, else the first cards that fit, else the first node cleared.

    A pipeline takes its stages' cards one after another and clears nothing.
    """

    def place(self, need: Need, view: View, room: Room) -> Placed:
        return self._wake(need, view) or self._fit(need, view) or self._clear(need, view, room)

    def _wake(self, need: Need, view: View) -> Plan | None:
        for instance in view.asleep(need.model.id):
            free = view.nodes.free_bytes
            if all(free[s.node][g] >= s.gpu_bytes for s in instance.shards for g in s.gpus):
                wake = Wake(UNNUMBERED, instance.id, view.source(need.model.id, instance.node))
                return Steps((Step(wake),), view.now)
        return None

    def _fit(self, need: Need, view: View) -> Plan | None:
        shards = fitting_shards(need.model, view)
        if shards is None:
            return None
        return Steps((Step(start(need.model, shards, view)),), view.now)

    def _clear(self, need: Need, view: View, room: Room) -> Placed:
        if need.model.stages > 1:
            return None
        for node in np.flatnonzero(room.reach(need.model, view)):
            clearing = room.make(NodeId(int(node)), need.model, view)
            if clearing is not None:
                spec = view.node(NodeId(int(node)))
                shard = pick(spec, clearing.free_bytes, need.share)
                assert shard is not None, "the clearing makes room"
                step = len(clearing.plan.steps)
                return clearing.plan.then(start(need.model, (shard,), view, step), view.now)
        return FULL


def fitting_shards(model: ModelSpec, view: View) -> tuple[Shard, ...] | None:
    """Free cards for every stage of a model, first nodes first; None if they do not fit."""
    left = [list(cards) for cards in view.nodes.free_bytes]
    shards: list[Shard] = []
    for _ in range(model.stages):
        found = (pick(spec, left[spec.id], model.need) for spec in view.nodes.specs)
        shard = next((s for s in found if s is not None), None)
        if shard is None:
            return None
        for gpu in shard.gpus:
            left[shard.node][gpu] -= shard.gpu_bytes
        shards.append(shard)
    return tuple(shards)


def start(model: ModelSpec, shards: tuple[Shard, ...], view: View, step: int = 0) -> StartInstance:
    sources = tuple(view.source(model.id, s.node) for s in shards)
    return StartInstance(UNNUMBERED, planned(step), model.id, shards, sources)


@dataclass(frozen=True, slots=True)
class StopVictims:
    """Stops the first instances of a node, until the share fits, that a subclass lets go."""

    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        return np.array(view.nodes.alive, np.bool_)

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        free = list(view.nodes.free_bytes[node])
        steps: list[Step[Command]] = []
        promised: set[int] = set()
        for victim in view.on_node(node):
            if pick(view.node(node), free, model.need) is not None:
                break
            first = self.first(victim, view, promised)
            if first is None:
                continue
            begun = len(steps)
            steps += [Step(c) for c in first]
            steps.append(Step(StopInstance(UNNUMBERED, victim.id), tuple(range(begun, len(steps)))))
            for shard in victim.shards:
                for gpu in shard.gpus:
                    free[gpu] += shard.gpu_bytes if shard.node == node else 0
        if pick(view.node(node), free, model.need) is None:
            return None
        return Clearing(Steps(tuple(steps), view.now), view.now, 0.0, tuple(free))

    def first(self, victim: Instance, view: View, promised: set[int]) -> Sequence[Command] | None:
        """What must happen before the victim stops; None if it may not be stopped."""
        return () if evictable(victim) and not victim.load else None


@dataclass(frozen=True, slots=True)
class Preempting(StopVictims):
    """Also what runs, but each request at most once."""

    def first(self, victim: Instance, view: View, promised: set[int]) -> Sequence[Command] | None:
        flights = victim.running.values()
        if not evictable(victim) or any(f.attempts > 1 or f.leaving for f in flights):
            return None
        return [Preempt(UNNUMBERED, f.request.id, Keep.TOKENS) for f in flights]


@dataclass(frozen=True, slots=True)
class Moving(StopVictims):
    """Also what runs, if every request of it can go to another instance that is ready."""

    def first(self, victim: Instance, view: View, promised: set[int]) -> Sequence[Command] | None:
        if not evictable(victim):
            return None
        moves: list[Command] = []
        for flight in victim.running.values():
            target = self._target(flight, victim, view, promised)
            if target is None or flight.move or flight.told:
                return None
            promised.add(target.id)
            moves.append(Migrate(UNNUMBERED, flight.request.id, victim.id, target.id, By.TOKENS))
        return moves

    def _target(
        self, flight: Flight, victim: Instance, view: View, promised: set[int]
    ) -> Instance | None:
        adapter = flight.request.adapter
        for target in view.ready(victim.model.id):
            free = target is not victim and target.load < target.slots
            if free and target.id not in promised and (adapter is None or target.has(adapter)):
                if target.node != victim.node:
                    return target
        return None


def evictable(victim: Instance) -> bool:
    return victim.phase is Phase.READY and not victim.inbound and len(victim.shards) == 1


class LeastRecentlyUsed:
    def keeps(self, artifact: ArtifactId, tier: Tier, view: View) -> bool:
        return True

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        chosen: list[Entry] = []
        for entry in pool.evictable():
            if need <= 0:
                break
            chosen.append(entry)
            need -= entry.size
        return chosen if need <= 0 else None

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Fixed:
    """Idle for `idle_s`, then asleep at `level` for `asleep_s` if that is not 0, then stopped."""

    idle_s: float
    level: int = 0
    asleep_s: float = 0.0

    def rest(self, instance: Instance, view: View) -> Rest | None:
        if instance.phase is Phase.ASLEEP:
            return Rest(self.asleep_s)
        return Rest(self.idle_s, self.level)


@dataclass(frozen=True, slots=True)
class FetchAll:
    """Copies every artifact from the remote store to each node's memory, while there is room."""

    every_s: float = 5.0

    def tend(self, view: View) -> Iterable[Plan]:
        for node in view.nodes.specs:
            if view.nodes.alive[node.id]:
                yield from self._fill(node.id, view)

    def _fill(self, node: NodeId, view: View) -> Iterator[Plan]:
        for model in list(view.models()):
            pool = view.pool(node, Tier.DRAM)
            if model.id not in pool and view.size(model.id) <= pool.free:
                fetch = Fetch(UNNUMBERED, model.id, REMOTE, Place(node, Tier.DRAM))
                yield Steps((Step(fetch),), view.now)


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Moves the first request of an instance to another that could take it, and back again."""

    every_s: float = 1.0

    def tend(self, view: View) -> Iterable[Plan]:
        for model in list(view.models()):
            for source in list(view.ready(model.id)):
                command = self._move(source, view)
                if command is not None:
                    yield Steps((Step(command),), view.now)
                    break

    def _move(self, source: Instance, view: View) -> Migrate | None:
        flight = next((f for f in source.running.values() if not f.move and not f.told), None)
        if flight is None:
            return None
        adapter = flight.request.adapter
        for target in view.ready(source.model.id):
            able = target is not source and target.load < target.slots
            if able and (adapter is None or target.has(adapter)):
                return Migrate(UNNUMBERED, flight.request.id, source.id, target.id, By.KV)
        return None


def plain(
    room: Room | None = None,
    keep_alive: Fixed | None = None,
    upkeep: tuple[FetchAll | Shuffle, ...] = (),
) -> Policy:
    """A whole policy; everything waits and nothing is refused."""
    return Policy(
        admission=AdmitAll(),
        ordering=OldestLane(),
        arbitration=OldestNeed(),
        routing=AttachedFirst(),
        scaling=OneMore(),
        placement=FirstFit(),
        room=room or StopVictims(),
        retention=LeastRecentlyUsed(),
        keep_alive=keep_alive or Fixed(10.0),
        upkeep=upkeep,
    )
