"""Adapters into and out of the slots of instances."""

from typing import TYPE_CHECKING

from fleet import commands as c
from fleet import events as e
from sim.instances import Loaded
from sim.loads import End, Load, Work

if TYPE_CHECKING:
    from sim.cluster import Cluster


class Attaching:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.copies = cluster.copies
        self.instances = cluster.instances
        self.loads = cluster.loads

    def attach(self, command: c.AttachAdapter) -> None:
        loaded = self.instances.loaded.get(command.instance)
        if loaded is None:
            return  # its loss is on its way
        slots = loaded.adapters
        assert command.adapter not in slots, f"adapter {command.adapter} is attached twice"
        assert len(slots) < loaded.model.max_adapters, f"no slot on instance {loaded.id}"
        slots.add(command.adapter)
        self.copies.look_for(command.adapter, command.source)
        self.copies.expect(loaded.node, command.keep, command.adapter)
        self.env.process(self._attach(command, loaded))

    def _attach(self, command: c.AttachAdapter, loaded: Loaded) -> Work:
        """The first shard's cards stand for all."""
        began_at = self.env.now
        outcome = self.cluster.faults.load_outcome()
        attach_s = self.loads.profile(loaded.node).attach.draw(self.cluster.noise)
        load = Load(loaded.node, loaded.id, attach_s * outcome.slow_factor, outcome)
        nbytes = self.copies.size(command.adapter)
        end = yield from self.loads.carry(
            load, lambda: self.loads.to_cards(load, nbytes, command.source, loaded.shards[0])
        )
        self.copies.settle(loaded.node, command.keep, command.adapter, end)
        if end is End.GONE:
            return
        if end is End.DONE:
            about = command.id, loaded.id, command.adapter, self.env.now - began_at
            self.cluster.answer(lambda now: e.AdapterAttached(now, *about), loaded.nodes)
        else:
            loaded.adapters.remove(command.adapter)
            failed = command.id, end.reason
            self.cluster.answer(lambda now: e.CommandFailed(now, *failed), loaded.nodes)

    def detach(self, command: c.DetachAdapter) -> None:
        loaded = self.instances.loaded.get(command.instance)
        if loaded is None:
            return  # its loss is on its way
        loaded.adapters.remove(command.adapter)
        about = command.id, command.instance, command.adapter
        self.cluster.answer(lambda now: e.AdapterDetached(now, *about), loaded.nodes)
