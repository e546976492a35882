"""Who holds which GPU memory, and the columns that placement ranks nodes by.

A claim takes the memory of a planned holder before all of it is free: what is free now at once,
the rest as the victims it was promised stop. Memory promised to a claim never passes
through the free store, so nobody can take it between two stops.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from fleet.domain import NodeId, NodeSpec, Part, Shard, Share, Whole
from fleet.ledger import Holdings

if TYPE_CHECKING:
    from typing_extensions import Buffer  # numpy's stubs lack __buffer__ before Python 3.12


class Claim:
    """GPU memory for one holder: bytes still missing, by card."""

    __slots__ = ("closed", "held_bytes", "missing", "shards")

    def __init__(self, shards: tuple[Shard, ...]) -> None:
        self.shards = shards
        self.held_bytes = 0
        self.missing: dict[tuple[NodeId, int], int] = {}
        self.closed = False


class Nodes:
    """Nodes as columns. Scalars are written through memoryviews, ranked as arrays."""

    def __init__(self, specs: Sequence[NodeSpec]) -> None:
        self.specs: list[NodeSpec] = []
        #: One node of each kind and set of links, and which of them each node is like.
        self.examples: list[NodeSpec] = []
        self.example_of: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.alive: list[bool] = []
        self.alive_gpus: npt.NDArray[np.int32] = np.zeros(0, np.int32)  # 0 on a dead node
        self.free_bytes: list[list[int]] = []  # by node and card
        self.held = Holdings()
        self.free_gpus: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self.idle_gpus: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self.largest_part: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.loading_until: npt.NDArray[np.float64] = np.zeros(0)
        self.loads: npt.NDArray[np.float64] = np.zeros(0)  # instances planned or loading there
        self.extend(specs)

    def extend(self, specs: Iterable[NodeSpec]) -> None:
        """Nodes that join; their ids are the next dense ones."""
        specs = list(specs)
        for spec in specs:
            assert spec.id == len(self.specs), f"node id {spec.id} is not the next one"
            self.specs.append(spec)
            self.alive.append(True)
            self.free_bytes.append([spec.gpu_bytes] * spec.gpus)
        like = np.array([self._example(s) for s in specs], np.int64)
        self.example_of = np.concatenate([self.example_of, like])
        add = len(specs)
        gpus = np.array([s.gpus for s in specs], np.int32)
        parts = np.array([s.gpu_bytes if s.gpus else 0 for s in specs], np.int64)
        self.alive_gpus = np.concatenate([self.alive_gpus, gpus])
        self.free_gpus = np.concatenate([self.free_gpus, gpus])
        self.idle_gpus = np.concatenate([self.idle_gpus, np.zeros(add, np.int32)])
        self.largest_part = np.concatenate([self.largest_part, parts])
        self.loading_until = np.concatenate([self.loading_until, np.zeros(add)])
        self.loads = np.concatenate([self.loads, np.zeros(add)])
        self._idle = cast("memoryview[int]", memoryview(cast("Buffer", self.idle_gpus)))

    def _example(self, spec: NodeSpec) -> int:
        for i, example in enumerate(self.examples):
            if (example.kind, example.links) == (spec.kind, spec.links):
                return i
        self.examples.append(spec)
        return len(self.examples) - 1

    def __len__(self) -> int:
        return len(self.specs)

    def idle(self, shards: tuple[Shard, ...], sign: int) -> None:
        """Cards that a ready instance without work could give up; +1 as it goes idle, -1 after."""
        for shard in shards:
            self._idle[shard.node] += sign * len(shard.gpus)

    def loading(self, shards: tuple[Shard, ...], sign: int) -> None:
        """An instance with these shards is to load (+1), or does not any more (-1)."""
        for shard in shards:
            self.loads[shard.node] += sign

    def fits(self, share: Share) -> npt.NDArray[np.bool_]:
        """Which nodes have room for the share now."""
        if isinstance(share, Whole):
            return self.free_gpus >= share.gpus
        return self.largest_part >= share.gpu_bytes

    def pick(self, node: NodeId, share: Share) -> Shard | None:
        """Free cards for the share: the first whole ones, or the fullest card a part fits on."""
        return pick(self.specs[node], self.free_bytes[node], share)

    # Changes, by the state only

    def claim(self, claim: Claim, now: float) -> None:
        """Take what is free of a claim's cards, and note what is missing."""
        for shard in claim.shards:
            cards = self.free_bytes[shard.node]
            for gpu in shard.gpus:
                taken = min(cards[gpu], shard.gpu_bytes)
                self._take(claim, shard.node, gpu, taken, now)
                if taken < shard.gpu_bytes:
                    claim.missing[shard.node, gpu] = shard.gpu_bytes - taken

    def release(self, claim: Claim, to: Claim | None, now: float) -> None:
        """Give a holder's memory back, first to the claim it was promised to."""
        if to is not None and to.closed:
            to = None
        for shard in claim.shards:
            for gpu in shard.gpus:
                got = shard.gpu_bytes - claim.missing.pop((shard.node, gpu), 0)
                self._take(claim, shard.node, gpu, -got, now)
                owed = to.missing.get((shard.node, gpu), 0) if to is not None else 0
                if to is not None and owed:
                    paid = min(owed, got)
                    self._take(to, shard.node, gpu, paid, now)
                    if paid == owed:
                        del to.missing[shard.node, gpu]
                    else:
                        to.missing[shard.node, gpu] = owed - paid
        claim.closed = True

    def lose(self, node: NodeId) -> None:
        """A dead node has nothing to give. Its holders must have been released before."""
        self.alive[node] = False
        self.alive_gpus[node] = 0
        self.free_bytes[node] = []
        self._recount(node)

    def _take(self, claim: Claim, node: NodeId, gpu: int, taken: int, now: float) -> None:
        cards = self.free_bytes[node]
        cards[gpu] -= taken
        assert 0 <= cards[gpu] <= self.specs[node].gpu_bytes, f"node {node} GPU {gpu}"
        claim.held_bytes += taken
        self.held.change(taken, now)
        self._recount(node)

    def _recount(self, node: NodeId) -> None:
        cards = self.free_bytes[node]
        whole = self.specs[node].gpu_bytes
        self.free_gpus[node] = sum(free == whole for free in cards)
        self.largest_part[node] = max(cards, default=0)


def pick(node: NodeSpec, free_bytes: Sequence[int], share: Share) -> Shard | None:
    """Cards of a node with that much free for the share, or None."""
    if isinstance(share, Part):
        fitting = [(free, gpu) for gpu, free in enumerate(free_bytes) if free >= share.gpu_bytes]
        if not fitting:
            return None
        return Shard(node.id, (min(fitting)[1],), share.gpu_bytes)
    whole = [gpu for gpu, free in enumerate(free_bytes) if free == node.gpu_bytes]
    if len(whole) < share.gpus:
        return None
    return Shard(node.id, tuple(whole[: share.gpus]), node.gpu_bytes)
