"""Instances, adapters and copies in time: phases, transfers over shared links, and their failures.

Every start, attach, wake and fetch is one SimPy process. It can be interrupted: by its stop, or
because its node or its source is lost. Shelves and cards are the simulator's own truth of what
lies where.
"""

from collections.abc import Callable, Generator
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

import simpy

from fleet import commands as c
from fleet import events as e
from fleet.domain import ArtifactId, InstanceId, ModelSpec, NodeId, Part, Place, Shard, Tier
from fleet.state import State
from sim.card import Card
from sim.faults import LoadOutcome
from sim.links import Transfer
from sim.profiles import Profile
from sim.served import Served

if TYPE_CHECKING:
    from sim.cluster import Cluster

Work: TypeAlias = Generator[simpy.Event, Any, None]

#: Why a process was interrupted.
STOPPED, LOST, CUT = "stopped", "lost", "cut"


class Loaded:
    """What an instance holds: its model, its cards, and the process that loads it, if any."""

    __slots__ = ("model", "process", "shards")

    def __init__(self, model: ModelSpec, shards: tuple[Shard, ...]) -> None:
        self.model = model
        self.shards = shards
        self.process: simpy.Process | None = None


class Loading:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.storage = cluster.storage
        self.state: State = cluster.controller.state
        self.instances: dict[InstanceId, Loaded] = {}
        self.under_way: dict[simpy.Process, tuple[NodeId, list[Transfer]]] = {}
        self._noise = cluster.streams.named("loading")
        self._cards: dict[tuple[NodeId, int], Card] = {}

    def lay_out(self, state: State) -> None:
        """Put on the shelves what the controller starts from."""
        for spec in state.nodes.specs:
            storage = self.storage.join(spec)
            for tier, pool in state.pools[spec.id].items():
                for entry in pool.entries.values():
                    storage.shelf(tier).put(entry.artifact, entry.size)

    def profile(self, node: NodeId) -> Profile:
        return self.cluster.world.profiles[self.state.nodes.specs[node].kind]

    # Instances

    def start(self, command: c.StartInstance) -> None:
        model = self.state.serving[command.model].spec
        loaded = Loaded(model, command.shards)
        self.instances[command.instance] = loaded
        self._hold_cards(command.instance, loaded)
        self._expect(command.shards[0].node, command.keep, command.model)
        loaded.process = self.env.process(self._start(command, loaded))

    def _start(self, command: c.StartInstance, loaded: Loaded) -> Work:
        began_at = self.env.now
        outcome = self.cluster.faults.load_outcome()
        node = command.shards[0].node
        profile = self.profile(node)
        phases = profile.startup(self._noise, self.cluster.world.preserved)

        def transfers() -> list[Transfer]:
            return [
                transfer
                for shard, source in zip(command.shards, command.sources, strict=True)
                for transfer in self._to_cards(
                    loaded.model.weight_bytes / len(command.shards), source, shard, outcome
                )
            ]

        def failed(reason: str) -> None:
            self._forget(command.instance)
            self._unexpect(node, command.keep, command.model)
            if reason != LOST:
                self.cluster.answer(lambda now: e.CommandFailed(now, command.id, reason))

        phases_s = sum(seconds for _, seconds in phases)
        done = yield from self._guarded(node, phases_s, transfers, outcome, failed)
        if not done:
            return
        load_s = self.env.now - began_at
        named = (*phases, ("weights", load_s - phases_s))
        self._arrived(node, command.keep, command.model)
        loaded.process = None
        self._serve(command.instance, loaded)
        instance = command.instance
        self.cluster.answer(lambda now: e.InstanceReady(now, command.id, instance, load_s, named))

    def _serve(self, instance: InstanceId, loaded: Loaded) -> None:
        """A new engine, and the moment at which it is to crash, if ever."""
        first = loaded.shards[0]
        profile = self.profile(first.node)
        gpus = sum(len(s.gpus) for s in loaded.shards)
        held_bytes = sum(s.gpu_bytes * len(s.gpus) for s in loaded.shards)
        blocks = self.cluster.world.kv_blocks
        if blocks is None:
            blocks = profile.kv_blocks(loaded.model, held_bytes, gpus)
        card = None
        if isinstance(loaded.model.need, Part):
            card = self._cards.setdefault((first.node, first.gpus[0]), Card())
        pace = profile.pace(loaded.model, gpus)
        engine = Served(instance, loaded.model, loaded.shards, pace, blocks, card)
        self.cluster.engines[instance] = engine
        crash_s = self.cluster.faults.engine_crash_after_s()
        if crash_s < inf:
            self.cluster.after(crash_s, lambda: self._crash(engine))

    def _crash(self, engine: Served) -> None:
        if self.cluster.engines.get(engine.instance) is engine:
            self.close(engine)
            self._forget(engine.instance)
            instance = engine.instance
            self.cluster.answer(lambda now: e.InstanceLost(now, instance, "crash"))

    def close(self, engine: Served) -> None:
        """The engine is gone; what its requests had streamed is known to the driver."""
        del self.cluster.engines[engine.instance]
        for stream in [s for s in self.cluster.live.values() if s.engine is engine]:
            self.cluster.take_out(stream)
        engine.close(self.env.now)
        if engine.card is not None:
            for other in engine.card.take_moved():
                self.env.arm(other)  # type: ignore[arg-type]

    def stop(self, command: c.StopInstance) -> None:
        loaded = self.instances.get(command.instance)
        if loaded is None:
            return  # it crashed; that report is on its way and closes the order
        engine = self.cluster.engines.get(command.instance)
        if engine is not None:
            self.close(engine)
        if loaded.process is not None:
            loaded.process.interrupt(STOPPED)
        stop_s = self.profile(loaded.shards[0].node).stop.draw(self._noise)
        self.cluster.after(stop_s, lambda: self._stopped(command, loaded))

    def _stopped(self, command: c.StopInstance, loaded: Loaded) -> None:
        if self.instances.get(command.instance) is not loaded:
            return  # its node was lost meanwhile
        self._forget(command.instance)
        instance = command.instance
        self.cluster.answer(lambda now: e.InstanceStopped(now, command.id, instance))

    def sleep(self, command: c.Sleep) -> None:
        loaded = self.instances.get(command.instance)
        engine = self.cluster.engines.get(command.instance)
        if loaded is None or engine is None:
            return
        node = loaded.shards[0].node
        dram = self.storage.nodes[node].dram
        keep = command.level == 1 and loaded.model.id not in dram
        if keep:
            dram.expect(loaded.model.id, loaded.model.weight_bytes)
        self.close(engine)
        nap = self.profile(node).sleep
        sleep_s = nap.draw(self._noise) if nap is not None else 0.0
        if keep:
            links = self.state.nodes.specs[node].links
            cards = len(loaded.shards[0].gpus)
            sleep_s += loaded.model.weight_bytes / (links.pcie_bytes_per_s * cards)

        def asleep() -> None:
            if self.instances.get(command.instance) is not loaded:
                return
            if keep:
                dram.arrived(loaded.model.id)
            self._free_cards(command.instance, loaded)
            self.cluster.answer(lambda now: e.Slept(now, command.id, command.instance))

        self.cluster.after(sleep_s, asleep)

    def wake(self, command: c.Wake) -> None:
        loaded = self.instances[command.instance]
        self._hold_cards(command.instance, loaded)
        loaded.process = self.env.process(self._wake(command, loaded))

    def _wake(self, command: c.Wake, loaded: Loaded) -> Work:
        began_at = self.env.now
        outcome = self.cluster.faults.load_outcome()
        shard = loaded.shards[0]
        wake = self.profile(shard.node).wake
        wake_s = wake.draw(self._noise) if wake is not None else 0.0

        def transfers() -> list[Transfer]:
            weight_bytes = loaded.model.weight_bytes
            return self._to_cards(weight_bytes, command.source, shard, outcome)

        def failed(reason: str) -> None:
            loaded.process = None
            self._free_cards(command.instance, loaded)
            if reason != LOST:
                self.cluster.answer(lambda now: e.CommandFailed(now, command.id, reason))

        done = yield from self._guarded(shard.node, wake_s, transfers, outcome, failed)
        if done:
            load_s = self.env.now - began_at
            loaded.process = None
            self._serve(command.instance, loaded)
            instance = command.instance
            self.cluster.answer(lambda now: e.Awake(now, command.id, instance, load_s))

    # Adapters and copies

    def attach(self, command: c.AttachAdapter) -> None:
        loaded = self.instances.get(command.instance)
        if loaded is not None:
            self._expect(loaded.shards[0].node, command.keep, command.adapter)
            self.env.process(self._attach(command, loaded))

    def _attach(self, command: c.AttachAdapter, loaded: Loaded) -> Work:
        began_at = self.env.now
        outcome = self.cluster.faults.load_outcome()
        shard = loaded.shards[0]
        nbytes = self.state.adapters[command.adapter].weight_bytes
        attach_s = self.profile(shard.node).attach.draw(self._noise)

        def failed(reason: str) -> None:
            self._unexpect(shard.node, command.keep, command.adapter)
            if reason != LOST:
                self.cluster.answer(lambda now: e.CommandFailed(now, command.id, reason))

        done = yield from self._guarded(
            shard.node,
            attach_s,
            lambda: self._to_cards(nbytes, command.source, shard, outcome),
            outcome,
            failed,
        )
        if done:
            load_s = self.env.now - began_at
            self._arrived(shard.node, command.keep, command.adapter)
            about = command.instance, command.adapter
            self.cluster.answer(lambda now: e.AdapterAttached(now, command.id, *about, load_s))

    def detach(self, command: c.DetachAdapter) -> None:
        about = command.instance, command.adapter
        self.cluster.answer(lambda now: e.AdapterDetached(now, command.id, *about))

    def fetch(self, command: c.Fetch) -> None:
        node = command.target.node
        assert node is not None, "a fetch has a node for its target"
        if command.target.tier is Tier.SSD and self.cluster.faults.disk_is_full():
            self.cluster.answer(lambda now: e.CommandFailed(now, command.id, "disk_full"))
            return
        self._expect(node, (command.target.tier,), command.artifact)
        self.env.process(self._fetch(command, node))

    def _fetch(self, command: c.Fetch, node: NodeId) -> Work:
        began_at = self.env.now
        fraction = self.cluster.faults.fetch_fails_after_fraction()
        outcome = LoadOutcome(fraction)
        nbytes = self.state.size(command.artifact)

        def transfers() -> list[Transfer]:
            cap = self._cap(command.source, node, 1, outcome)
            moved = nbytes * (1.0 if fraction is None else fraction)
            chunk = self.profile(node).chunk_bytes
            return [
                self.storage.fetch(
                    moved, command.source, command.target, chunk_bytes=chunk, cap_bytes_per_s=cap
                )
            ]

        def failed(reason: str) -> None:
            self._unexpect(node, (command.target.tier,), command.artifact)
            if reason != LOST:
                self.cluster.answer(lambda now: e.CommandFailed(now, command.id, reason))

        done = yield from self._guarded(node, 0.0, transfers, outcome, failed)
        if done:
            load_s = self.env.now - began_at
            self._arrived(node, (command.target.tier,), command.artifact)
            artifact = command.artifact
            self.cluster.answer(lambda now: e.Fetched(now, command.id, artifact, load_s))

    def drop(self, command: c.Drop) -> None:
        node = command.place.node
        assert node is not None, "nothing is dropped from the remote store"
        self.storage.nodes[node].shelf(command.place.tier).drop(command.artifact)
        about = command.artifact, command.place
        self.cluster.answer(lambda now: e.Dropped(now, command.id, *about))

    # A load, whatever it loads

    def _guarded(
        self,
        node: NodeId,
        phases_s: float,
        transfers: Callable[[], list[Transfer]],
        outcome: LoadOutcome,
        failed: Callable[[str], None],
    ) -> Generator[simpy.Event, Any, bool]:
        """Phases, then bytes; False after calling `failed` with the reason."""
        process = self.env.active_process
        assert process is not None, "a load runs as a process"
        moving: list[Transfer] = []
        self.under_way[process] = (node, moving)
        reason = ""
        try:
            if phases_s > 0.0:
                yield self.env.timeout(phases_s * outcome.slow_factor)
            moving += transfers()
            yield self.env.all_of(moving)
            if outcome.fails_after_fraction is not None:
                reason = "load_failed"
        except simpy.Interrupt as interrupt:
            reason = str(interrupt.cause)
            for transfer in moving:
                transfer.cancel()
        del self.under_way[process]
        if reason and reason != STOPPED:
            failed(reason)
        return not reason

    def _to_cards(
        self, nbytes: float, source: Place, shard: Shard, outcome: LoadOutcome
    ) -> list[Transfer]:
        if outcome.fails_after_fraction is not None:
            nbytes *= outcome.fails_after_fraction
        return self.storage.load(
            nbytes,
            source,
            shard,
            chunk_bytes=self.profile(shard.node).chunk_bytes,
            cap_bytes_per_s=self._cap(source, shard.node, len(shard.gpus), outcome),
        )

    def _cap(self, source: Place, node: NodeId, cards: int, outcome: LoadOutcome) -> float:
        peer = source.node is not None and source.node != node
        cap = self.profile(node).load_cap_bytes_per_s(
            source.tier, self._noise, cards=cards, peer=peer
        )
        return cap / outcome.slow_factor

    # Shelves and cards

    def _expect(self, node: NodeId, tiers: tuple[Tier, ...], artifact: ArtifactId) -> None:
        for tier in tiers:
            self.storage.nodes[node].shelf(tier).expect(artifact, self.state.size(artifact))

    def _arrived(self, node: NodeId, tiers: tuple[Tier, ...], artifact: ArtifactId) -> None:
        for tier in tiers:
            self.storage.nodes[node].shelf(tier).arrived(artifact)

    def _unexpect(self, node: NodeId, tiers: tuple[Tier, ...], artifact: ArtifactId) -> None:
        if node in self.storage.nodes:
            for tier in tiers:
                self.storage.nodes[node].shelf(tier).drop(artifact)

    def _hold_cards(self, instance: InstanceId, loaded: Loaded) -> None:
        for shard in loaded.shards:
            for gpu in shard.gpus:
                self.storage.nodes[shard.node].cards[gpu].put(instance, shard.gpu_bytes)

    def _free_cards(self, instance: InstanceId, loaded: Loaded) -> None:
        for shard in loaded.shards:
            storage = self.storage.nodes.get(shard.node)
            for gpu in shard.gpus if storage is not None else ():
                assert storage is not None
                if instance in storage.cards[gpu]:
                    storage.cards[gpu].drop(instance)

    def _forget(self, instance: InstanceId) -> None:
        loaded = self.instances.pop(instance, None)
        if loaded is not None:
            self._free_cards(instance, loaded)
