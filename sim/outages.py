"""Nodes that are lost, and come back as new ones. What they take along, and who is told."""

from math import inf
from typing import TYPE_CHECKING

import msgspec

from fleet import events as e
from fleet.domain import NodeId, NodeSpec

if TYPE_CHECKING:
    from sim.cluster import Cluster


class Outages:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.storage = cluster.storage
        self.instances = cluster.instances

    def begin(self) -> None:
        for node in list(self.storage.nodes):
            self._await_loss(node)

    def _await_loss(self, node: NodeId) -> None:
        loss_s = self.cluster.faults.next_node_loss_s(node)
        if loss_s < inf:
            self.cluster.after(loss_s, lambda: self.lose(node))

    def lose(self, node: NodeId) -> None:
        """The node stops at once; that it did is reported like anything else.

        Instances with a shard there are gone too; their cards elsewhere are free.
        """
        spec = self.storage.nodes[node].spec
        gone = [i.id for i in self.instances.loaded.values() if i.lies_on(node)]
        cut = self.storage.lose(node)
        for instance in gone:
            self.instances.lose(instance)
        self.cluster.loads.lose(node, cut)
        self.cluster.kv.cut(cut)
        self.cluster.answer(lambda now: e.NodeLost(now, node), (node,))
        repair_s = self.cluster.faults.repair_after_s()
        if repair_s is not None:
            self.cluster.after(repair_s, lambda: self._join(spec))

    def _join(self, spec: NodeSpec) -> None:
        """A repaired node joins under a new id, empty."""
        taken = len(self.cluster.controller.state.nodes)
        again = msgspec.structs.replace(spec, id=NodeId(taken))
        self.cluster.loads.join(again)
        self._await_loss(again.id)
        self.cluster.report(e.NodeJoined(self.cluster.env.now, again))
