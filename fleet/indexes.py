"""Indexes that answer a warm-path question without a scan."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fleet.domain import ArtifactId, InstanceId, NodeId, Tier
from fleet.holders import Instance


class LoadBuckets:
    """Ready instances of one model by load: O(1) to update and to find the least loaded."""

    __slots__ = ("_buckets", "_count", "_least")

    def __init__(self) -> None:
        self._buckets: list[dict[InstanceId, Instance]] = [{}]
        self._least = 0
        self._count = 0

    def add(self, instance: Instance) -> None:
        load = instance.load
        buckets = self._buckets
        while len(buckets) <= load:
            buckets.append({})
        buckets[load][instance.id] = instance
        self._count += 1
        self._least = min(self._least, load)

    def remove(self, instance: Instance) -> None:
        del self._buckets[instance.load][instance.id]
        self._count -= 1

    def shift(self, instance: Instance, by: int) -> None:
        """Move one instance to the bucket of its new load; `by` is +1 or -1."""
        buckets = self._buckets
        load = instance.load
        number = instance.id
        del buckets[load][number]
        load += by
        instance.load = load
        if load == len(buckets):
            buckets.append({})
        buckets[load][number] = instance
        if load < self._least:  # noqa: PLR1730 - no call and no store in most cases
            self._least = load

    def least(self) -> Instance | None:
        """A least loaded instance, the longest in its bucket first."""
        for instance in self._buckets[self._least].values():
            return instance
        return self._find_least()

    def _find_least(self) -> Instance | None:
        for load in range(self._least + 1, len(self._buckets)):
            for instance in self._buckets[load].values():
                self._least = load
                return instance
        self._least = 0
        return None

    def has_slot(self) -> bool:
        """Whether any instance could take one more sequence."""
        least = self.least()
        return least is not None and least.load < least.slots

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Instance]:
        """Least loaded first."""
        for bucket in self._buckets:
            yield from bucket.values()


class Residency:
    """The best tier at which each artifact lies on each node, also as columns to rank by."""

    __slots__ = ("_columns", "_nodes")

    def __init__(self) -> None:
        self._nodes: dict[ArtifactId, dict[NodeId, Tier]] = {}
        self._columns: dict[ArtifactId, npt.NDArray[np.int8]] = {}

    def of(self, artifact: ArtifactId) -> dict[NodeId, Tier]:
        """By node; a node that is not named has only the remote store."""
        nodes = self._nodes.get(artifact)
        if nodes is None:
            nodes = self._nodes[artifact] = {}
        return nodes

    def column(self, artifact: ArtifactId, nodes: int) -> npt.NDArray[np.int8]:
        """The tier on each of so many nodes. Kept from the first time it is asked for."""
        column = self._columns.get(artifact)
        if column is None or len(column) != nodes:
            column = self._columns[artifact] = np.zeros(nodes, np.int8)
            for node, tier in self.of(artifact).items():
                column[node] = tier
        return column

    def set(self, artifact: ArtifactId, node: NodeId, tier: Tier) -> None:
        """The best tier is now this one; REMOTE takes the node out."""
        if tier is Tier.REMOTE:
            self.of(artifact).pop(node, None)
        else:
            self.of(artifact)[node] = tier
        column = self._columns.get(artifact)
        if column is not None and node < len(column):
            column[node] = tier
