"""Copies of artifacts on the tiers of nodes: fetched, kept on the way of a load, dropped.

The shelves are the simulator's own truth of what lies where: a load that reads a copy which is not
there, or a copy that finds no room, fails the run.
"""

from typing import TYPE_CHECKING

from fleet import commands as c
from fleet import events as e
from fleet.domain import ArtifactId, NodeId, Place, Tier
from fleet.state import State
from sim.faults import LoadOutcome
from sim.loads import End, Load, Work

if TYPE_CHECKING:
    from sim.cluster import Cluster


class Copies:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.storage = cluster.storage
        self.loads = cluster.loads

    def lay_out(self, state: State) -> None:
        """Put on the shelves what the controller starts from."""
        for spec in state.nodes.specs:
            storage = self.loads.join(spec)
            for tier, pool in state.pools[spec.id].items():
                for entry in pool.entries.values():
                    storage.shelf(tier).put(entry.artifact, entry.size)

    def size(self, artifact: ArtifactId) -> int:
        return self.cluster.controller.state.size(artifact)

    # On the way of a load

    def expect(self, node: NodeId, tiers: tuple[Tier, ...], artifact: ArtifactId) -> None:
        """Take the room of the copies that a load leaves behind."""
        for tier in tiers:
            self.storage.nodes[node].shelf(tier).expect(artifact, self.size(artifact))

    def settle(self, node: NodeId, tiers: tuple[Tier, ...], artifact: ArtifactId, end: End) -> None:
        """The load has ended: its copies are there, or their room is free again."""
        storage = self.storage.nodes.get(node)
        for tier in tiers if storage is not None else ():
            assert storage is not None
            if end is End.DONE:
                storage.shelf(tier).arrived(artifact)
            else:
                storage.shelf(tier).drop(artifact)

    def look_for(self, artifact: ArtifactId, source: Place) -> None:
        """A copy that the controller counts on is there, unless its node is lost."""
        storage = self.storage.nodes.get(source.node) if source.node is not None else None
        if storage is not None:
            there = artifact in storage.shelf(source.tier)
            assert there, f"{storage.spec.name}: no copy of {artifact} in {source.tier.name}"

    # Commands

    def fetch(self, command: c.Fetch) -> None:
        node = _node_of(command.target)
        if node not in self.storage.nodes:
            return  # its loss is on its way
        if command.target.tier is Tier.SSD and self.cluster.faults.disk_is_full():
            return self._failed(command, node, "disk_full")
        self.look_for(command.artifact, command.source)
        self.expect(node, (command.target.tier,), command.artifact)
        self.env.process(self._fetch(command, node))

    def _fetch(self, command: c.Fetch, node: NodeId) -> Work:
        began_at = self.env.now
        outcome = LoadOutcome(self.cluster.faults.fetch_fails_after_fraction())
        load = Load(node, outcome=outcome)
        nbytes = self.size(command.artifact)
        end = yield from self.loads.carry(
            load, lambda: self.loads.to_tier(load, nbytes, command.source, command.target)
        )
        self.settle(node, (command.target.tier,), command.artifact, end)
        if end is End.DONE:
            about = command.id, command.artifact, self.env.now - began_at
            self.cluster.answer(lambda now: e.Fetched(now, *about), (node,))
        elif end is not End.GONE:
            self._failed(command, node, end.reason)

    def drop(self, command: c.Drop) -> None:
        node = _node_of(command.place)
        if node not in self.storage.nodes:
            return  # its loss is on its way
        self.storage.nodes[node].shelf(command.place.tier).drop(command.artifact)
        about = command.id, command.artifact, command.place
        self.cluster.answer(lambda now: e.Dropped(now, *about), (node,))

    def _failed(self, command: c.Fetch, node: NodeId, reason: str) -> None:
        self.cluster.answer(lambda now: e.CommandFailed(now, command.id, reason), (node,))


def _node_of(place: Place) -> NodeId:
    assert place.node is not None, "the remote store is only read"
    return place.node
