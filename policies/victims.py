"""Exact choice of victims: the cheapest set of instances whose going makes room on a node.

Each victim has ways to go, and a way may use up room elsewhere, so two victims never count on the
same free cards. Depth-first with bounds: victims in order of their cheapest way, a branch is cut
when it cannot free enough any more or cannot get cheaper than the best. The tests compare it with
an enumeration of every set and every combination of ways.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fleet.cards import pick
from fleet.domain import NodeSpec, Share
from fleet.holders import Instance


class Way(Protocol):
    """One way for a victim to go. `cost_s`: seconds of service that it takes from others."""

    @property
    def cost_s(self) -> float: ...


class Ways(Protocol):
    """The ways of a victim, given those already taken by others: cheapest first."""

    def of(self, victim: Instance, taken: Sequence[Way]) -> Iterable[Way]: ...


@dataclass(slots=True)
class Search:
    """One search on one node."""

    node: NodeSpec
    share: Share
    victims: list[Instance]  # cheapest first
    ways: Ways
    best_s: float = float("inf")
    best: list[tuple[Instance, Way]] = field(default_factory=list)
    _taken: list[tuple[Instance, Way]] = field(default_factory=list)

    def run(self, free_bytes: Sequence[int]) -> list[tuple[Instance, Way]] | None:
        """The cheapest victims with their ways, or None if all together are not enough."""
        self._visit(0, list(free_bytes), 0.0)
        return self.best if self.best_s < float("inf") else None

    def _visit(self, i: int, free: list[int], cost_s: float) -> None:
        if cost_s >= self.best_s:
            return
        if pick(self.node, free, self.share) is not None:
            self.best_s, self.best = cost_s, list(self._taken)
            return
        if i == len(self.victims) or not self._enough(i, free):
            return
        victim = self.victims[i]
        without = freed(free, victim, self.node)
        for way in self.ways.of(victim, [w for _, w in self._taken]):
            if cost_s + way.cost_s >= self.best_s:
                break  # ways come cheapest first
            self._taken.append((victim, way))
            self._visit(i + 1, without, cost_s + way.cost_s)
            self._taken.pop()
        self._visit(i + 1, free, cost_s)

    def _enough(self, i: int, free: list[int]) -> bool:
        """Whether the victims that are left could free the share at all."""
        for victim in self.victims[i:]:
            free = freed(free, victim, self.node)
        return pick(self.node, free, self.share) is not None


def freed(free_bytes: Sequence[int], victim: Instance, node: NodeSpec) -> list[int]:
    """Free bytes by card once the victim has gone."""
    free = list(free_bytes)
    for shard in victim.shards:
        if shard.node == node.id:
            for gpu in shard.gpus:
                free[gpu] += shard.gpu_bytes
    return free
