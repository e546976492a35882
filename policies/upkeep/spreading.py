"""Spreading requests over engines so that the slowest engine is fastest: dLoRA's programme.

Numbers in, numbers out: it knows no fleet.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

#: By group and engine: how many of the group's requests go there.
Flows: TypeAlias = npt.NDArray[np.int64]
SLACK_S = 1e-9


@dataclass(frozen=True)
class Group:
    """Requests with one adapter (-1: none) on one engine; `left_s` and `blocks` are of each."""

    adapter: int
    home: int
    requests: int
    left_s: float
    blocks: float


@dataclass(frozen=True)
class Engine:
    """`blocks` of KV cache; those beyond are swapped at `swapped_per_s`."""

    sequences: int
    adapters: int
    blocks: float
    swapped_per_s: float


@dataclass(frozen=True)
class Spread:
    """min max_j [sum of left_s + `move_s` a request moved to j + max(0, blocks over) / swapped]."""

    groups: tuple[Group, ...]
    engines: tuple[Engine, ...]
    move_s: float

    def stay(self) -> Flows:
        """Nobody moves."""
        flows = np.zeros((len(self.groups), len(self.engines)), np.int64)
        for i, group in enumerate(self.groups):
            flows[i, group.home] = group.requests
        return flows

    def slowest_s(self, flows: Flows) -> float:
        """Seconds of the slowest engine; inf where sequences or adapter slots do not suffice."""
        return max(self.engine_s(j, flows[:, j]) for j in range(len(self.engines)))

    def engine_s(self, j: int, here: npt.NDArray[np.int64]) -> float:
        engine = self.engines[j]
        held = {g.adapter for g, n in zip(self.groups, here, strict=True) if n and g.adapter >= 0}
        if here.sum() > engine.sequences or len(held) > engine.adapters:
            return float("inf")
        each = zip(self.groups, here, strict=True)
        busy_s = sum(n * (g.left_s + self.move_s * (g.home != j)) for g, n in each)
        blocks = sum(n * g.blocks for g, n in zip(self.groups, here, strict=True))
        return float(busy_s + max(0.0, blocks - engine.blocks) / engine.swapped_per_s)

    def best(self, most_visits: int) -> Flows:
        """The best spread, by branch and bound; the best seen once so many states were visited.

        Groups in turn, and each over the engines in turn. A branch is cut when its slowest engine,
        or all work left shared out evenly, is no faster than the best: which is first that of one
        request at a time.
        """
        search = _Search(self, self.one_by_one(), most_visits)
        search.visit(0, 0, self.groups[0].requests)
        return search.best

    # One at a time

    def one_by_one(self) -> Flows:
        """Move single requests away from the slowest engine while that makes it faster."""
        flows = self.stay()
        now_s = self.slowest_s(flows)
        for _ in range(int(flows.sum())):
            times = [self.engine_s(j, flows[:, j]) for j in range(len(self.engines))]
            slowest, fastest = int(np.argmax(times)), int(np.argmin(times))
            best: tuple[float, int] | None = None
            for i in np.flatnonzero(flows[:, slowest]):
                flows[i, slowest] -= 1
                flows[i, fastest] += 1
                then_s = self.slowest_s(flows)
                if then_s < now_s and (best is None or then_s < best[0]):
                    best = then_s, int(i)
                flows[i, slowest] += 1
                flows[i, fastest] -= 1
            if best is None:
                break
            now_s = best[0]
            flows[best[1], slowest] -= 1
            flows[best[1], fastest] += 1
        return flows


class _Search:
    """Depth first over counts of requests, by group and engine."""

    def __init__(self, spread: Spread, first: Flows, most_visits: int) -> None:
        self.spread = spread
        self.best = first
        self.best_s = spread.slowest_s(first)
        self.flows = np.zeros_like(first)
        self.left = most_visits
        works = [g.requests * g.left_s for g in spread.groups]
        self.to_come = [sum(works[i:]) for i in range(len(works) + 1)]

    def visit(self, i: int, j: int, requests: int) -> None:
        """Share out so many of group i over the engines from j on, then the groups after it."""
        self.left -= 1
        groups, engines = self.spread.groups, len(self.spread.engines)
        if i == len(groups):
            self.best_s, self.best = self.spread.slowest_s(self.flows), self.flows.copy()
            return
        for number in range(requests, -1, -1) if j < engines - 1 else (requests,):
            self.flows[i, j] = number
            last = j == engines - 1
            k = i + 1 if last else i
            then = groups[k].requests if last and k < len(groups) else requests - number
            if self.left > 0 and self._may_win(i, requests - number):
                self.visit(k, 0 if last else j + 1, then)
        self.flows[i, j] = 0

    def _may_win(self, i: int, requests: int) -> bool:
        times = [self.spread.engine_s(j, self.flows[:, j]) for j in range(self.flows.shape[1])]
        to_come = self.to_come[i + 1] + requests * self.spread.groups[i].left_s
        return max(*times, (sum(times) + to_come) / len(times)) < self.best_s - SLACK_S
