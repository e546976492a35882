"""Exact choice of victims: the cheapest set of instances whose going makes room on a node.

Each victim has ways to go, and a way may use up room elsewhere, so two victims never count on the
same free cards. Depth-first branch and bound. It does not know what a way is, only what it costs.
The tests compare it with an enumeration of every set and every combination of ways.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import Protocol, TypeAlias

from fleet.cards import pick
from fleet.domain import InstanceId, NodeSpec, Share, Whole
from fleet.holders import Instance


class Way(Protocol):
    """One way for a victim to go. `cost_s`: seconds of service that it takes from others."""

    @property
    def cost_s(self) -> float: ...


class Ways(Protocol):
    """The ways of a victim, given those already taken by others."""

    def of(self, victim: Instance, taken: Sequence[Way]) -> Iterable[Way]:
        """Cheapest first; none may cost less than the victim's cheapest with nothing taken."""

    def mark(self, taken: Sequence[Way]) -> Hashable:
        """What of the taken ways bears on the ways still to come: equal marks, equal futures."""

    def at_least_s(self, victims: Sequence[Instance], fewest: int, taken: Sequence[Way]) -> float:
        """A lower bound on the cost of so many of the victims going, beside the taken ways."""


#: Sums of the same numbers in another order differ by less.
SLACK_S = 1e-9

Found: TypeAlias = list[tuple[Instance, Way]]


@dataclass(slots=True)
class Search:
    """One search on one node.

    `victims` are tried in their order, and `alone_s` has the cost of each one's cheapest way. A
    branch is cut when what it has cost, plus a lower bound on what freeing the rest must cost, does
    not beat the best, or when the same state was reached more cheaply. A cheap bound counts cards
    (`at_least_s`); where it does not cut, the ways' own one counts targets, once a state. The
    result is exact unless `most_visits` ran out; then it is the cheapest seen, still legal.
    """

    node: NodeSpec
    share: Share
    victims: Sequence[Instance]
    alone_s: Mapping[InstanceId, float]
    ways: Ways
    most_visits: int = 2000
    visits: int = 0
    best_s: float = inf
    best: Found = field(default_factory=list)
    _taken: Found = field(default_factory=list)
    _seen: dict[Hashable, float] = field(default_factory=dict)

    def run(self, free_bytes: Sequence[int]) -> Found | None:
        """The cheapest victims with their ways, or None if all together are not enough."""
        self._visit(0, list(free_bytes), 0.0)
        return self.best if self.best_s < inf else None

    def _visit(self, i: int, free: list[int], cost_s: float) -> None:
        self.visits += 1
        if pick(self.node, free, self.share) is not None:
            self.best_s, self.best = cost_s, list(self._taken)
            return
        least_s = cost_s + at_least_s(self.node, self.share, free, self.victims[i:], self.alone_s)
        taken = [way for _, way in self._taken]
        if self._is_cut(least_s) or self._is_seen((i, *free, self.ways.mark(taken)), cost_s):
            return
        bounded = self.best_s < inf
        if bounded and self._is_hopeless(i, free, cost_s, taken):
            return
        victim = self.victims[i]
        without = freed(free, victim, self.node)
        for way in self.ways.of(victim, taken):
            if cost_s + way.cost_s >= self.best_s:
                break  # ways come cheapest first
            self._taken.append((victim, way))
            self._visit(i + 1, without, cost_s + way.cost_s)
            self._taken.pop()
            if self.visits >= self.most_visits or self._is_cut(least_s):
                return
            if not bounded and self._is_hopeless(i, free, cost_s, taken):
                return
            bounded = True
        self._visit(i + 1, free, cost_s)

    def _is_cut(self, least_s: float) -> bool:
        return least_s == inf or least_s >= self.best_s - SLACK_S

    def _is_seen(self, mark: Hashable, cost_s: float) -> bool:
        """Whether the same state was reached at no more cost."""
        if self._seen.get(mark, inf) <= cost_s:
            return True
        self._seen[mark] = cost_s
        return False

    def _is_hopeless(self, i: int, free: list[int], cost_s: float, taken: Sequence[Way]) -> bool:
        if self.best_s == inf:
            return False
        left = self.victims[i:]
        most = sorted((len(held_on(v, self.node)) for v in left), reverse=True)
        short = cards_short(self.node, self.share, free)
        fewest = next(n for n in range(len(left) + 1) if sum(most[:n]) >= short)
        return self._is_cut(cost_s + self.ways.at_least_s(left, fewest, taken))


def at_least_s(
    node: NodeSpec,
    share: Share,
    free: Sequence[int],
    victims: Sequence[Instance],
    alone_s: Mapping[InstanceId, float],
) -> float:
    """A lower bound on the cost of freeing the share with these victims; inf if they cannot.

    The cost of a victim is spread over its cards (no more of them than are short), each card is
    freed by the cheapest fraction of what lies on it, and the cheapest cards are counted.
    """
    wanted = wanted_bytes(node, share)
    short = cards_short(node, share, free)
    if short <= 0:
        return 0.0
    on_card: list[list[tuple[float, int]]] = [[] for _ in free]
    for victim in victims:
        held = held_on(victim, node)
        for gpu, gpu_bytes in held:
            on_card[gpu].append((alone_s[victim.id] / min(len(held), short), gpu_bytes))
    prices = (
        cover_s(held, wanted - free[gpu]) for gpu, held in enumerate(on_card) if free[gpu] < wanted
    )
    cheapest = sorted(prices)[:short]
    return sum(cheapest) if len(cheapest) == short else inf


def wanted_bytes(node: NodeSpec, share: Share) -> int:
    """Free bytes that a card of the share must have."""
    return node.gpu_bytes if isinstance(share, Whole) else share.gpu_bytes


def cards_short(node: NodeSpec, share: Share, free: Sequence[int]) -> int:
    """How many more cards must come free for the share."""
    wanted = wanted_bytes(node, share)
    cards = share.gpus if isinstance(share, Whole) else 1
    return cards - sum(free_bytes >= wanted for free_bytes in free)


def cover_s(held: Iterable[tuple[float, int]], short_bytes: int) -> float:
    """The cheapest fractions of (cost, bytes) that add up to so many bytes; inf if all do not."""
    cost_s = 0.0
    for each_s, held_bytes in sorted(held, key=lambda h: h[0] / h[1]):
        if held_bytes >= short_bytes:
            return cost_s + each_s * short_bytes / held_bytes
        cost_s += each_s
        short_bytes -= held_bytes
    return inf


def held_on(victim: Instance, node: NodeSpec) -> list[tuple[int, int]]:
    """Its cards on the node, each with the bytes it holds there."""
    here = (shard for shard in victim.shards if shard.node == node.id)
    return list(chain.from_iterable(((gpu, s.gpu_bytes) for gpu in s.gpus) for s in here))


def freed(free_bytes: Sequence[int], victim: Instance, node: NodeSpec) -> list[int]:
    """Free bytes by card once the victim has gone."""
    free = list(free_bytes)
    for gpu, held_bytes in held_on(victim, node):
        free[gpu] += held_bytes
    return free
