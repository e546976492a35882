"""What lies where in the simulated fleet, and over which links it moves.

This is the simulator's own truth, kept apart from the controller's books: a shelf that is asked
for more than it has fails the run instead of believing the controller. It knows bytes and places;
it neither knows when a load is worth it nor what a start-up does besides moving weights.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

import simpy

from fleet.domain import ArtifactId, InstanceId, NodeId, NodeSpec, Place, Shard, Tier
from sim.links import Link, Network, Transfer

Key = TypeVar("Key", bound=Hashable)


class SharingLoss(NamedTuple):
    """`sim.links.Link.sharing_loss` of a node's links."""

    nic: float = 0.0
    ssd: float = 0.0
    pcie: float = 0.0
    peer: float = 0.0


NO_LOSS = SharingLoss()


class Shelf(Generic[Key]):
    """Bytes of one tier of one node (or of one card) by who takes them.

    Room is taken when bytes start to arrive and counts in full from then on; `in` is true once
    they are all there. Raises AssertionError on over-commitment and on what was never put.
    """

    def __init__(self, name: str, capacity_bytes: int) -> None:
        self.name = name
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self._bytes: dict[Key, int] = {}
        self._arriving: set[Key] = set()

    def __contains__(self, key: Key) -> bool:
        return key in self._bytes and key not in self._arriving

    def __iter__(self) -> Iterator[Key]:
        return (key for key in self._bytes if key not in self._arriving)

    @property
    def free_bytes(self) -> int:
        return self.capacity_bytes - self.used_bytes

    def expect(self, key: Key, nbytes: int) -> None:
        """Take the room of bytes that are on their way."""
        self.put(key, nbytes)
        self._arriving.add(key)

    def arrived(self, key: Key) -> None:
        """What was expected is all there."""
        if key not in self._arriving:
            raise AssertionError(f"{self.name}: {key} arrived and was not expected")
        self._arriving.remove(key)

    def put(self, key: Key, nbytes: int) -> None:
        """Take room for bytes that are there already."""
        if key in self._bytes:
            raise AssertionError(f"{self.name}: {key} is put twice")
        if nbytes > self.free_bytes:
            raise AssertionError(
                f"{self.name}: {key} needs {nbytes} bytes and {self.free_bytes} of "
                f"{self.capacity_bytes} are free"
            )
        self._bytes[key] = nbytes
        self.used_bytes += nbytes

    def drop(self, key: Key) -> int:
        """Free what `key` takes, arrived or not; how many bytes that was."""
        if key not in self._bytes:
            raise AssertionError(f"{self.name}: {key} is dropped and does not lie there")
        self._arriving.discard(key)
        nbytes = self._bytes.pop(key)
        self.used_bytes -= nbytes
        return nbytes


class NodeStorage:
    """One node's links and shelves, as its NodeSpec says.

    Links: the NIC to the remote store, the NIC to peers, the SSD, and a PCIe link a card. What
    goes from the store or a peer to a card streams through memory and takes no room in DRAM.
    """

    def __init__(
        self, spec: NodeSpec, store: Link | None = None, loss: SharingLoss = NO_LOSS
    ) -> None:
        self.spec = spec
        self.ssd: Shelf[ArtifactId] = Shelf(f"{spec.name}/ssd", spec.ssd_bytes)
        self.dram: Shelf[ArtifactId] = Shelf(f"{spec.name}/dram", spec.dram_bytes)
        self.cards: tuple[Shelf[InstanceId], ...] = tuple(
            Shelf(f"{spec.name}/gpu{gpu}", spec.gpu_bytes) for gpu in range(spec.gpus)
        )
        self.store = store
        links = spec.links
        name = spec.name
        self.nic = Link(f"{name}/nic", links.remote_bytes_per_s, sharing_loss=loss.nic)
        self.peer_nic = Link(f"{name}/peer", links.peer_bytes_per_s, sharing_loss=loss.peer)
        self.ssd_link = Link(f"{name}/ssd", links.ssd_bytes_per_s, sharing_loss=loss.ssd)
        self.pcie = tuple(
            Link(f"{name}/pcie{gpu}", links.pcie_bytes_per_s, sharing_loss=loss.pcie)
            for gpu in range(spec.gpus)
        )
        # A network passes packets on: the sender's end holds no chunk of its own.
        self.peer_out = Link(f"{spec.name}/out", links.peer_bytes_per_s, stores_chunks=False)

    def shelf(self, tier: Tier) -> Shelf[ArtifactId]:
        """The shelf of SSD or DRAM."""
        if tier is Tier.SSD:
            return self.ssd
        if tier is Tier.DRAM:
            return self.dram
        raise AssertionError(f"{self.spec.name}: {tier.name} has no shelf of artifacts")

    def links(self) -> tuple[Link, ...]:
        """All that dies with the node; the store's link, shared by all, is not among them."""
        return (self.nic, self.peer_nic, self.peer_out, self.ssd_link, *self.pcie)

    def path(
        self, source: Place, target: Place | int, peer: "NodeStorage | None" = None
    ) -> tuple[Link, ...]:
        """The links from `source` to a tier of this node, or to the card with index `target`.

        `peer` is the storage of the source's node where that is another one.
        """
        to_card = self.pcie[target : target + 1] if isinstance(target, int) else ()
        if source.node is None:
            return (*((self.store,) if self.store else ()), self.nic, *to_card)
        if source.node != self.spec.id:
            if peer is None or peer.spec.id != source.node:
                raise AssertionError(f"{self.spec.name}: no storage of peer {source.node} given")
            from_disk = (peer.ssd_link,) if source.tier is Tier.SSD else ()
            return (*from_disk, peer.peer_out, self.peer_nic, *to_card)
        return self._inner_path(source.tier, target, to_card)

    def _inner_path(
        self, source: Tier, target: Place | int, to_card: tuple[Link, ...]
    ) -> tuple[Link, ...]:
        goal = Tier.GPU if isinstance(target, int) else target.tier
        if source is Tier.SSD and goal > Tier.SSD:
            return (self.ssd_link, *to_card)
        if source is Tier.DRAM and goal is Tier.SSD:
            return (self.ssd_link,)
        if source >= Tier.DRAM and goal is Tier.GPU:
            return to_card
        raise AssertionError(f"{self.spec.name}: no path from {source.name} to {goal.name}")


class Storage:
    """The fleet's network and every node's storage; nodes come and go.

    `store_bytes_per_s` bounds what the remote store gives to all nodes together; None leaves only
    the nodes' own NICs.
    """

    def __init__(self, env: simpy.Environment, store_bytes_per_s: float | None = None) -> None:
        self.network = Network(env)
        self.nodes: dict[NodeId, NodeStorage] = {}
        self.store: Link | None = None
        if store_bytes_per_s is not None:
            self.store = Link("store", store_bytes_per_s, stores_chunks=False)

    def join(self, spec: NodeSpec, loss: SharingLoss = NO_LOSS) -> NodeStorage:
        """A node with empty shelves; `loss` is what its links lose when they are shared."""
        self.nodes[spec.id] = NodeStorage(spec, self.store, loss)
        return self.nodes[spec.id]

    def lose(self, node: NodeId) -> list[Transfer]:
        """A node is gone with all that lay on it; the transfers to, in and from it that stopped."""
        return self.network.cut(self.nodes.pop(node).links())

    def fetch(
        self,
        nbytes: float,
        source: Place,
        target: Place,
        *,
        chunk_bytes: float,
        cap_bytes_per_s: float = float("inf"),
    ) -> Transfer:
        """Copy to a tier of a node. Shelves are the caller's: room is taken before bytes move."""
        links = self._path(source, target, _node_of(target))
        return self.network.transfer(
            nbytes, links, chunk_bytes=chunk_bytes, cap_bytes_per_s=cap_bytes_per_s
        )

    def load(
        self,
        nbytes: float,
        source: Place,
        shard: Shard,
        *,
        chunk_bytes: float,
        cap_bytes_per_s: float = float("inf"),
    ) -> list[Transfer]:
        """Load onto a shard's cards: one transfer a card, each an equal part of `nbytes`.

        `cap_bytes_per_s` bounds each card's transfer.
        """
        part_bytes = nbytes / len(shard.gpus)
        return [
            self.network.transfer(
                part_bytes,
                self._path(source, gpu, shard.node),
                chunk_bytes=chunk_bytes,
                cap_bytes_per_s=cap_bytes_per_s,
            )
            for gpu in shard.gpus
        ]

    def _path(self, source: Place, target: Place | int, node: NodeId) -> tuple[Link, ...]:
        peer = None if source.node is None else self.nodes.get(source.node)
        return self.nodes[node].path(source, target, peer)


def _node_of(target: Place) -> NodeId:
    if target.node is None:
        raise AssertionError("the remote store is read, never written")
    return target.node
