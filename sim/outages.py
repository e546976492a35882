"""Nodes that are lost, and come back as new ones. What they take along, and who is told."""

from math import inf
from typing import TYPE_CHECKING

import msgspec

from fleet import events as e
from fleet.domain import NodeId, NodeSpec
from sim.loading import CUT, LOST, Loading

if TYPE_CHECKING:
    from sim.cluster import Cluster


class Outages:
    def __init__(self, cluster: "Cluster", loading: Loading) -> None:
        self.cluster = cluster
        self.loading = loading
        self.storage = cluster.storage

    def begin(self) -> None:
        for node in list(self.storage.nodes):
            self._await_loss(node)

    def _await_loss(self, node: NodeId) -> None:
        loss_s = self.cluster.faults.next_node_loss_s(node)
        if loss_s < inf:
            self.cluster.after(loss_s, lambda: self.lose(node))

    def lose(self, node: NodeId) -> None:
        """The node stops at once; that it did is reported like anything else."""
        spec = self.storage.nodes[node].spec
        for engine in list(self.cluster.engines.values()):
            if any(shard.node == node for shard in engine.shards):
                self.loading.close(engine)
        cut = set(self.storage.lose(node))
        for process, (at, moving) in list(self.loading.under_way.items()):
            lost = at == node
            if lost or not cut.isdisjoint(moving):
                process.interrupt(LOST if lost else CUT)
        self._forget_instances(node)
        self.cluster.answer(lambda now: e.NodeLost(now, node))
        repair_s = self.cluster.faults.repair_after_s()
        if repair_s is not None:
            self.cluster.after(repair_s, lambda: self._join(spec))

    def _forget_instances(self, node: NodeId) -> None:
        """Instances with a shard there are gone; their cards elsewhere are free."""
        for instance, loaded in list(self.loading.instances.items()):
            if any(shard.node == node for shard in loaded.shards):
                if loaded.process is not None and loaded.shards[0].node != node:
                    loaded.process.interrupt(LOST)
                self.loading._forget(instance)

    def _join(self, spec: NodeSpec) -> None:
        """A repaired node joins under a new id, empty."""
        taken = len(self.cluster.controller.state.nodes)
        again = msgspec.structs.replace(spec, id=NodeId(taken))
        self.storage.join(again)
        self._await_loss(again.id)
        self.cluster.report(e.NodeJoined(self.cluster.env.now, again))
