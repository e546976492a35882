"""KV caches on their way over links: between two engines, or to a node's memory and back.

It knows neither why they move nor what becomes of the request.
"""

from collections.abc import Collection, Generator
from typing import Any

import simpy

from sim.links import Link, Transfer
from sim.served import Served
from sim.storage import Storage


class KvCopies:
    def __init__(self, env: simpy.Environment, storage: Storage) -> None:
        self.env = env
        self.storage = storage
        self._under_way: dict[Transfer, simpy.Process] = {}

    def between(
        self, source: Served, target: Served, tokens: int
    ) -> Generator[simpy.Event, Any, bool]:
        """Over the network, or over PCIe where both are on one node. False: an end was lost."""
        nodes = self.storage.nodes
        here, there = nodes.get(source.node), nodes.get(target.node)
        if here is None or there is None:
            return False
        links = _pcie(here.pcie, source) if here is there else (here.peer_out, there.peer_nic)
        return (yield from self._move(tokens * target.model.kv_bytes_per_token, links))

    def over_pcie(self, engine: Served, tokens: int) -> Generator[simpy.Event, Any, bool]:
        """Between the engine's cards and its node's memory. False: the node was lost."""
        node = self.storage.nodes.get(engine.node)
        if node is None:
            return False
        nbytes = tokens * engine.model.kv_bytes_per_token
        return (yield from self._move(nbytes, _pcie(node.pcie, engine)))

    def cut(self, transfers: Collection[Transfer]) -> None:
        """Who waits for one of these need not."""
        for transfer in transfers:
            process = self._under_way.get(transfer)
            if process is not None:
                process.interrupt()

    def _move(self, nbytes: float, links: tuple[Link, ...]) -> Generator[simpy.Event, Any, bool]:
        process = self.env.active_process
        assert process is not None, "a copy waits in a process"
        transfer = self.storage.network.transfer(nbytes, links)
        self._under_way[transfer] = process
        try:
            yield transfer
        except simpy.Interrupt:
            return False
        finally:
            del self._under_way[transfer]
        return True


def _pcie(links: tuple[Link, ...], engine: Served) -> tuple[Link, ...]:
    """The first card's link: it bounds the copy as if the cache lay on one card."""
    return (links[engine.shards[0].gpus[0]],)
