"""Policies in order over all cells of a grid, and grouped by the recipe that they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from traces.grids.contest import Contest


@dataclass(frozen=True, slots=True)
class Ranked:
    """A policy on one measure. `best_in`: cells in which it is the best or cannot be told from it;
    `no_number_in`: cells in which it never settled or measured nothing."""

    policy: str
    group: str
    mean_rank: float
    best_in: int
    no_number_in: int
    cells: int


def ranking(contests: Sequence[Contest], groups: Mapping[str, str]) -> list[Ranked]:
    """By mean rank over the cells, the best first; names break ties."""
    found = [_ranked(policy, group, contests) for policy, group in groups.items() if contests]
    return sorted(found, key=lambda own: (own.mean_rank, own.policy))


def _ranked(policy: str, group: str, contests: Sequence[Contest]) -> Ranked:
    best = [c for c in contests if c.best is not None and policy in (c.best, *c.tied)]
    none = [contest for contest in contests if contest.standing(policy).mean is None]
    mean_rank = sum(contest.rank(policy) for contest in contests) / len(contests)
    return Ranked(policy, group, mean_rank, len(best), len(none), len(contests))


def grouped(ranked: Sequence[Ranked]) -> dict[str, list[Ranked]]:
    """Groups in the order of their best policy, policies in order within."""
    groups: dict[str, list[Ranked]] = {}
    for own in ranked:
        groups.setdefault(own.group, []).append(own)
    return groups
