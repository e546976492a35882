"""Copies of artifacts on the tiers of a node: room for what comes, drops of what goes.

The retention policy says what stays and who must go; this keeps the books. A reservation takes its
room at once and may name victims, whose drops are steps of the same plan and come first.
"""

from fleet.commands import Drop
from fleet.domain import ArtifactId, NodeId, Place, Tier
from fleet.ledger import Cause
from fleet.orders import Orders
from fleet.plans import UNNUMBERED
from fleet.policy import Policy
from fleet.pools import Entry, Pool, Stay
from fleet.state import State
from fleet.view import View


class Loading:
    """One load under way: the copies it reads, and those it leaves on the tiers it passes."""

    __slots__ = ("coming", "drops", "pinned")

    def __init__(self) -> None:
        self.pinned: list[Entry] = []
        self.coming: list[tuple[NodeId, Tier, Entry]] = []
        self.drops: list[Drop] = []  # must be done before the load begins

    @property
    def keep(self) -> tuple[Tier, ...]:
        return tuple(tier for _, tier, _ in self.coming)


class Caches:
    def __init__(self, state: State, policy: Policy, view: View, orders: Orders) -> None:
        self.state = state
        self.policy = policy
        self.view = view
        self.orders = orders

    # Before a load

    def reserve(self, loading: Loading, artifact: ArtifactId, place: Place) -> bool:
        """Room for one copy, whatever the policy would keep; False if none can be made."""
        assert place.node is not None, "the remote store is not a cache"
        pool = self.state.pool(place.node, place.tier)
        size = self.state.size(artifact)
        if artifact in pool or size > pool.capacity:
            return False
        if size > pool.free and not self._clear(loading, pool, size - pool.free, place.node):
            return False
        entry = self.state.cache_add(place.node, place.tier, artifact, size)
        loading.coming.append((place.node, place.tier, entry))
        return True

    def on_the_way(
        self, loading: Loading, artifact: ArtifactId, node: NodeId, source: Place
    ) -> None:
        """Copies that a load from `source` to the node's GPUs leaves, as the policy wants."""
        nearest = source.tier if source.node == node else Tier.REMOTE
        for tier in (Tier.SSD, Tier.DRAM):
            if tier > nearest and self.policy.retention.keeps(artifact, tier, self.view):
                self.reserve(loading, artifact, Place(node, tier))

    def pin(self, loading: Loading, artifact: ArtifactId, place: Place) -> None:
        """Hold the copy that a load reads; it counts as a use of it."""
        if place.node is None or place.tier is Tier.GPU:
            return
        entry = self.state.pool(place.node, place.tier).entries.get(artifact)
        assert entry is not None, f"artifact {artifact} does not lie in {place}"
        assert entry.stay is Stay.HERE, f"artifact {artifact} cannot be read from {place}"
        entry.pins += 1
        loading.pinned.append(entry)
        self.use(place.node, place.tier, entry)

    def use(self, node: NodeId, tier: Tier, entry: Entry) -> None:
        pool = self.state.pool(node, tier)
        pool.touch(entry, self.state.now, self._cost_s(entry, node, tier))
        self.policy.retention.used(pool, entry, self.view)

    def _clear(self, loading: Loading, pool: Pool, need: int, node: NodeId) -> bool:
        victims = self.policy.retention.victims(pool, need, self.view)
        if victims is None:
            return False
        assert sum(v.size for v in victims) >= need, (
            "the retention policy's victims free too little"
        )
        for victim in victims:
            pool.going_out(victim)
            self.state.reindex(victim.artifact, node)
            loading.drops.append(Drop(UNNUMBERED, victim.artifact, Place(node, pool.tier)))
        return True

    # After it

    def finish(self, loading: Loading) -> None:
        self._unpin(loading)
        for node, tier, entry in loading.coming:
            self.state.cache_here(node, tier, entry)
            self.use(node, tier, entry)

    def abort(self, loading: Loading) -> None:
        """The load did not happen. A node that was lost meanwhile has taken its copies along."""
        self._unpin(loading)
        for node, tier, entry in loading.coming:
            if self.state.pool(node, tier).entries.get(entry.artifact) is entry:
                self.state.cache_remove(node, tier, entry)

    def _unpin(self, loading: Loading) -> None:
        for entry in loading.pinned:
            entry.pins -= 1
        loading.pinned.clear()
        self.orders.capacity = True

    def dropped(self, artifact: ArtifactId, place: Place) -> None:
        entry = self._entry(artifact, place)
        if entry is not None and place.node is not None:
            self.state.cache_remove(place.node, place.tier, entry)

    def not_dropped(self, artifact: ArtifactId, place: Place) -> None:
        """The drop failed or will never be given: the copy stays."""
        entry = self._entry(artifact, place)
        if entry is not None and entry.stay is Stay.GOING and place.node is not None:
            self.state.pool(place.node, place.tier).stays(entry)
            self.state.reindex(artifact, place.node)

    def put(self, artifact: ArtifactId, node: NodeId, tier: Tier) -> None:
        """A copy that already lies there when the controller first hears of it."""
        entry = self.state.cache_add(node, tier, artifact, self.state.size(artifact))
        entry.meter.cause = Cause.IDLE
        self.state.cache_here(node, tier, entry)

    def lose_node(self, node: NodeId) -> None:
        for tier, pool in self.state.pools[node].items():
            for entry in list(pool.entries.values()):
                self.state.cache_remove(node, tier, entry)

    def _entry(self, artifact: ArtifactId, place: Place) -> Entry | None:
        if place.node is None:
            return None
        return self.state.pool(place.node, place.tier).entries.get(artifact)

    def _cost_s(self, entry: Entry, node: NodeId, tier: Tier) -> float:
        """Believed seconds to bring the copy back from the next tier that holds it."""
        spec = self.view.node(node)
        pools = self.state.pools[node]
        source = (
            Tier.SSD if tier is Tier.DRAM and pools[Tier.SSD].has(entry.artifact) else Tier.REMOTE
        )
        links = spec.links
        b = links.ssd_bytes_per_s if source is Tier.SSD else links.remote_bytes_per_s
        return entry.size / b
