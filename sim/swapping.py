"""Requests preempted with their KV cache: out to the node's memory, and back on the same node.

The memory that such caches take is not counted against the node's DRAM.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from fleet.domain import CommandId
from sim.served import Served, Stream

if TYPE_CHECKING:
    from sim.cluster import Cluster

Work = Generator[simpy.Event, Any, None]


class Swapping:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.requests = cluster.requests
        self.kv = cluster.kv

    def out(self, stream: Stream, engine: Served) -> None:
        """Off its engine already; it is preempted once its KV is in the node's memory."""
        self.env.process(self._out(stream, stream.command, engine))

    def back(self, stream: Stream, engine: Served) -> None:
        """Onto an engine that it was dispatched to; elsewhere its KV is computed again."""
        node, stream.kv_node = stream.kv_node, None
        if engine.node == node:
            self.env.process(self._back(stream, stream.command, engine))
        else:
            self.requests.add(stream, engine)

    def _out(self, stream: Stream, dispatch: CommandId, engine: Served) -> Work:
        yield from self.kv.over_pcie(engine, _kv_tokens(stream))
        if self._is_on(stream, dispatch, engine):
            stream.kv_node = engine.node
            self.requests.preempted(stream, engine)

    def _back(self, stream: Stream, dispatch: CommandId, engine: Served) -> Work:
        yield from self.kv.over_pcie(engine, _kv_tokens(stream))
        if not self._is_on(stream, dispatch, engine):
            return
        if self.requests.told_meanwhile(stream, engine):
            return
        if not self.requests.enter(stream, engine, _kv_tokens(stream)):
            self.requests.add(stream, engine)

    def _is_on(self, stream: Stream, dispatch: CommandId, engine: Served) -> bool:
        """Else its engine was lost: the report of that places it again."""
        alive = self.requests.engines.get(engine.instance) is engine
        return alive and stream.command == dispatch


def _kv_tokens(stream: Stream) -> int:
    """The last token's KV is made by the iteration that comes next."""
    return stream.prompt_tokens + stream.generated - 1
