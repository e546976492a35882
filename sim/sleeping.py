"""Instances that give their cards back and keep their process, and take the same cards again."""

from typing import TYPE_CHECKING

from fleet import commands as c
from fleet import events as e
from fleet.domain import Place
from sim.instances import Loaded
from sim.links import Transfer
from sim.loads import End, Load, Work

if TYPE_CHECKING:
    from sim.cluster import Cluster


class Sleeping:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.instances = cluster.instances
        self.requests = cluster.requests
        self.loads = cluster.loads

    def sleep(self, command: c.Sleep) -> None:
        """Level 1 first writes the weights to DRAM over PCIe, if they do not lie there."""
        loaded = self.instances.loaded.get(command.instance)
        engine = self.requests.engines.get(command.instance)
        if loaded is None or engine is None:
            return  # its loss is on its way
        self.requests.close(engine)
        storage = self.cluster.storage.nodes[loaded.node]
        loaded.writes = command.level == 1 and loaded.model.id not in storage.dram
        nap = self.loads.profile(loaded.node).sleep
        sleep_s = nap.draw(self.cluster.noise) if nap is not None else 0.0
        if loaded.writes:
            storage.dram.expect(loaded.model.id, loaded.model.weight_bytes)
            cards = len(loaded.shards[0].gpus)
            pcie_bytes_per_s = storage.spec.links.pcie_bytes_per_s * cards
            sleep_s += loaded.model.weight_bytes / pcie_bytes_per_s
        self.cluster.after(sleep_s, lambda: self._asleep(command, loaded))

    def _asleep(self, command: c.Sleep, loaded: Loaded) -> None:
        if not self.instances.is_alive(loaded):
            return
        if loaded.writes:
            loaded.writes = False
            self.cluster.storage.nodes[loaded.node].dram.arrived(loaded.model.id)
        self.instances.free_cards(loaded)
        loaded.adapters.clear()
        about = command.id, command.instance
        self.cluster.answer(lambda now: e.Slept(now, *about), loaded.nodes)

    def wake(self, command: c.Wake) -> None:
        loaded = self.instances.loaded.get(command.instance)
        if loaded is None:
            return  # its loss is on its way
        self.cluster.copies.look_for(loaded.model.id, command.source)
        self.instances.hold_cards(loaded)
        self.env.process(self._wake(command, loaded))

    def _wake(self, command: c.Wake, loaded: Loaded) -> Work:
        began_at = self.env.now
        outcome = self.cluster.faults.load_outcome()
        wake = self.loads.profile(loaded.node).wake
        wake_s = wake.draw(self.cluster.noise) * outcome.slow_factor if wake is not None else 0.0
        load = Load(loaded.node, loaded.id, wake_s, outcome, weights=True)
        end = yield from self.loads.carry(load, lambda: self._weights(load, loaded, command.source))
        if end is End.GONE:
            return
        if end is End.DONE:
            self.instances.serve(loaded)
            about = command.id, loaded.id, self.env.now - began_at
            self.cluster.answer(lambda now: e.Awake(now, *about), loaded.nodes)
        else:
            self.instances.free_cards(loaded)
            failed = command.id, end.reason
            self.cluster.answer(lambda now: e.CommandFailed(now, *failed), loaded.nodes)

    def _weights(self, load: Load, loaded: Loaded, source: Place) -> list[Transfer]:
        part_bytes = loaded.model.weight_bytes / len(loaded.shards)
        return [
            transfer
            for shard in loaded.shards
            for transfer in self.loads.to_cards(load, part_bytes, source, shard)
        ]
