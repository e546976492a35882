"""Instances from their start to their end: loading, serving, crashing, stopping.

Also which cards each one holds, and which adapters are in its slots.
"""

from math import inf
from typing import TYPE_CHECKING

from fleet import commands as c
from fleet import events as e
from fleet.domain import AdapterId, InstanceId, ModelSpec, NodeId, Part, Shard
from sim.card import Card
from sim.links import Transfer
from sim.loads import End, Load, Work
from sim.served import Served

if TYPE_CHECKING:
    from sim.cluster import Cluster


class Loaded:
    """What an instance holds. `adapters` are attached or on their way; `writes` is true while it
    goes to sleep and writes its weights to its node's DRAM."""

    __slots__ = ("adapters", "id", "model", "shards", "writes")

    def __init__(self, id: InstanceId, model: ModelSpec, shards: tuple[Shard, ...]) -> None:
        self.id = id
        self.model = model
        self.shards = shards
        self.adapters: set[AdapterId] = set()
        self.writes = False

    @property
    def node(self) -> NodeId:
        """Where its first shard is."""
        return self.shards[0].node

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """Where its shards are."""
        return tuple(shard.node for shard in self.shards)

    def lies_on(self, node: NodeId) -> bool:
        return node in self.nodes


class Instances:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.storage = cluster.storage
        self.loads = cluster.loads
        self.requests = cluster.requests
        self.loaded: dict[InstanceId, Loaded] = {}
        self._cards: dict[tuple[NodeId, int], Card] = {}

    def is_alive(self, loaded: Loaded) -> bool:
        """False once it has stopped or was lost."""
        return self.loaded.get(loaded.id) is loaded

    # Loading

    def start(self, command: c.StartInstance) -> None:
        if any(shard.node not in self.storage.nodes for shard in command.shards):
            return  # that node's loss is on its way
        model = self.cluster.controller.state.serving[command.model].spec
        for source in command.sources:
            self.cluster.copies.look_for(command.model, source)
        loaded = self.loaded[command.instance] = Loaded(command.instance, model, command.shards)
        self.hold_cards(loaded)
        self.cluster.copies.expect(loaded.node, command.keep, command.model)
        self.env.process(self._start(command, loaded))

    def _start(self, command: c.StartInstance, loaded: Loaded) -> Work:
        began_at = self.env.now
        outcome = self.cluster.faults.load_outcome()
        drawn = self.loads.profile(loaded.node).startup(
            self.cluster.noise, self.cluster.world.preserved
        )
        phases = [(name, seconds * outcome.slow_factor) for name, seconds in drawn]
        phases_s = sum(seconds for _, seconds in phases)
        load = Load(loaded.node, loaded.id, phases_s, outcome, weights=True)
        end = yield from self.loads.carry(load, lambda: self._weights(load, loaded, command))
        if end is End.DONE and not self._kv_blocks(loaded):
            end = End.NO_MEMORY
        self.cluster.copies.settle(loaded.node, command.keep, command.model, end)
        if end is End.GONE:
            return
        if end is not End.DONE:
            return self._failed_to_start(command, loaded, end.reason)
        load_s = self.env.now - began_at
        queue = (("queue", load.queued_s),) if load.queued_s else ()
        named = (*phases, *queue, ("weights", load_s - phases_s - load.queued_s))
        self.serve(loaded)
        about = command.id, command.instance, load_s, named
        self.cluster.answer(lambda now: e.InstanceReady(now, *about), loaded.nodes)

    def _weights(self, load: Load, loaded: Loaded, command: c.StartInstance) -> list[Transfer]:
        """An equal part of the weights to every shard."""
        part_bytes = loaded.model.weight_bytes / len(command.shards)
        return [
            transfer
            for shard, source in zip(command.shards, command.sources, strict=True)
            for transfer in self.loads.to_cards(load, part_bytes, source, shard)
        ]

    def _failed_to_start(self, command: c.StartInstance, loaded: Loaded, reason: str) -> None:
        self.forget(loaded.id)
        self.cluster.answer(lambda now: e.CommandFailed(now, command.id, reason), loaded.nodes)

    # Serving

    def serve(self, loaded: Loaded) -> None:
        """A new engine, and the moment at which it is to crash, if ever."""
        card = None
        if isinstance(loaded.model.need, Part):
            card = self._cards.setdefault((loaded.node, loaded.shards[0].gpus[0]), Card())
        stages = len(loaded.shards)
        pace = self.loads.profile(loaded.node).pace(loaded.model, _gpus(loaded) // stages, stages)
        blocks = self._kv_blocks(loaded)
        engine = Served(loaded.id, loaded.model, loaded.shards, pace, blocks, card)
        self.requests.engines[loaded.id] = engine
        crash_s = self.cluster.faults.engine_crash_after_s()
        if crash_s < inf:
            self.cluster.after(crash_s, lambda: self.crash(engine))

    def _kv_blocks(self, loaded: Loaded) -> int:
        """Blocks of KV cache beside the weights; 0 where an engine could not start.

        Every stage holds its part of each block, so the smallest one counts for all.
        """
        blocks = self.cluster.world.kv_blocks
        if blocks is not None:
            return blocks
        held_bytes = len(loaded.shards) * min(s.gpu_bytes * len(s.gpus) for s in loaded.shards)
        profile = self.loads.profile(loaded.node)
        return profile.kv_blocks(loaded.model, held_bytes, _gpus(loaded))

    def crash(self, engine: Served) -> None:
        """The engine dies, if it has not ended before."""
        if self.requests.engines.get(engine.instance) is engine:
            instance = engine.instance
            self.lose(instance)
            self.cluster.answer(lambda now: e.InstanceLost(now, instance, "crash"), engine.nodes)

    # Ending

    def lose(self, instance: InstanceId) -> None:
        """It is gone, with its engine and whatever is on its way to it. Nobody is told."""
        engine = self.requests.engines.get(instance)
        if engine is not None:
            self.requests.close(engine)
        self.loads.give_up(instance)
        loaded = self.loaded[instance]
        if loaded.writes and loaded.node in self.storage.nodes:
            self.storage.nodes[loaded.node].dram.drop(loaded.model.id)
        self.forget(instance)

    def stop(self, command: c.StopInstance) -> None:
        loaded = self.loaded.get(command.instance)
        if loaded is None:
            return  # its loss is on its way
        engine = self.requests.engines.get(command.instance)
        if engine is not None:
            self.requests.close(engine)
        self.loads.give_up(command.instance)
        stop_s = self.loads.profile(loaded.node).stop.draw(self.cluster.noise)
        self.cluster.after(stop_s, lambda: self._stopped(command, loaded))

    def _stopped(self, command: c.StopInstance, loaded: Loaded) -> None:
        if self.is_alive(loaded):
            self.forget(loaded.id)
            about = command.id, loaded.id
            self.cluster.answer(lambda now: e.InstanceStopped(now, *about), loaded.nodes)

    def forget(self, instance: InstanceId) -> None:
        loaded = self.loaded.pop(instance, None)
        if loaded is not None:
            self.free_cards(loaded)

    # Cards

    def hold_cards(self, loaded: Loaded) -> None:
        for shard in loaded.shards:
            for gpu in shard.gpus:
                self.storage.nodes[shard.node].cards[gpu].put(loaded.id, shard.gpu_bytes)

    def free_cards(self, loaded: Loaded) -> None:
        """One that sleeps holds none; cards of a lost node are gone."""
        for shard in loaded.shards:
            storage = self.storage.nodes.get(shard.node)
            for gpu in shard.gpus if storage is not None else ():
                assert storage is not None
                if loaded.id in storage.cards[gpu]:
                    storage.cards[gpu].drop(loaded.id)


def _gpus(loaded: Loaded) -> int:
    return sum(len(shard.gpus) for shard in loaded.shards)
