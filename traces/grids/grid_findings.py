"""What a grid says, in words: who wins where, what is a tie, who never settled, who is dominated.

Knows no layout; the terminal and the report print the same sentences.
"""

from collections.abc import Sequence
from typing import Final

from traces.comparison import shown
from traces.grids.contest import CORRECTION, Contest
from traces.grids.grid import GridRuns, partly, unsettled
from traces.grids.pareto import Front
from traces.statistics import MIN_SEEDS

NAMED: Final = 6  # names in a sentence, before "and N more"


def names(policies: Sequence[str], most: int = NAMED) -> str:
    """ "a, b and 7 more"."""
    if len(policies) > most + 1:
        return f"{', '.join(policies[:most])} and {len(policies) - most} more"
    if len(policies) < 2:
        return "".join(policies)
    return f"{', '.join(policies[:-1])} and {policies[-1]}"


def winner(contest: Contest) -> str:
    """The best of a cell, who cannot be told from it, and how many are worse for real."""
    if contest.best is None:
        return f"{contest.measure.label}: no policy settled, so there is no number to compare."
    best = contest.standing(contest.best)
    value = shown(contest.measure, best.mean)
    if not contest.tied and not contest.beaten:
        return f"{contest.measure.label}: {contest.best} has {value}; nobody to compare it with."
    parts = [f"{contest.measure.label}: {contest.best} has the best mean, {value}"]
    if contest.tied:
        parts.append(f"{names(contest.tied)} cannot be told from it")
    if contest.beaten:
        count = len(contest.beaten)
        parts.append(f"{count} {'is' if count == 1 else 'are'} worse for real")
    return "; ".join(parts) + (f" ({best.note})." if best.note else ".")


def everywhere(contests: Sequence[Contest]) -> str:
    """Who is best, or cannot be told from the best, in the most cells; "" of a single cell."""
    decided = [contest for contest in contests if contest.best is not None]
    if len(decided) < 2 or any(contest.seeds < MIN_SEEDS for contest in decided):
        return ""
    counts: dict[str, int] = {}
    for contest in decided:
        for policy in (contest.best, *contest.tied):
            if policy is not None:
                counts[policy] = counts.get(policy, 0) + 1
    most = max(counts.values())
    who = [policy for policy, count in counts.items() if count == most]
    where = f"all {most}" if most == len(decided) else f"{most} of the {len(decided)}"
    return (
        f"{decided[0].measure.label}: {names(who)} {'is' if len(who) == 1 else 'are'} the best, or "
        f"cannot be told from it, in {where} cells that have a number."
    )


def caveats(runs: GridRuns) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = _few_seeds(runs)
    for cell in runs.study.cells:
        points = runs.of(cell.name)
        if not points:
            found.append(f"{_where(cell.name)}no seed of all policies is done yet.")
            continue
        never = [policy for policy, own in points.items() if unsettled(own)]
        if never:
            first = unsettled(points[never[0]])
            found.append(
                f"{_where(cell.name)}{len(never)} of {len(points)} policies never settled, so they "
                f"have no latency here: {names(never)}. {never[0]} was {first}."
            )
        some = [policy for policy, own in points.items() if partly(own)]
        if some:
            found.append(
                f"{_where(cell.name)}{len(some)} of {len(points)} policies were saturated in some "
                f"seeds but not in most; they are marked: {names(some)}."
            )
    return found


def _few_seeds(runs: GridRuns) -> list[str]:
    counts = [len(next(iter(p.values()))) for c in runs.study.cells if (p := runs.of(c.name))]
    least = min(counts, default=MIN_SEEDS)
    if least >= MIN_SEEDS:
        return []
    few = "one seed is too few" if least == 1 else f"{least} seeds are too few"
    where = "Some cells have few seeds: " if max(counts) >= MIN_SEEDS else ""
    return [
        f"{where}{few} for intervals ({MIN_SEEDS} are needed): without them no difference can be "
        "called real, and every policy is tied with the best."
    ]


def _where(cell: str) -> str:
    return f"{cell}: " if cell else ""


def care_taken(contests: Sequence[Contest], measures: int) -> str:
    """How chance was kept out of the claims."""
    tests = sum(len(contest.ps) for contest in contests)
    return (
        "A policy is worse for real where the paired t test has p < 0.05 after the correction of "
        f"{CORRECTION} for all {tests:,} pairs of policies in all cells, for each of {measures} "
        "measures by itself, and the 95 % bootstrap interval of its paired difference from the "
        "best excludes 0. So of the differences called real at most about 1 in 20 are chance. All "
        "else is a tie."
    )


def domination(front: Front) -> list[str]:
    """The frontier, and who is dominated by whom: for real first."""
    said = []
    if len(front.spots) > 1:
        said.append(f"Nobody beats {names(front.best, most=12)} at both.")
    by: dict[str, list[str]] = {}
    for policy, better in front.surely.items():
        by.setdefault(better, []).append(policy)
    for better, policies in by.items():
        said.append(f"{better} is cheaper and faster, for real, than {names(policies, most=12)}.")
    rest = [policy for policy in front.dominated if policy not in front.surely]
    if rest:
        said.append(f"Dominated by their means, but within chance: {names(rest, most=12)}.")
    for policy, why in list(front.unsettled.items())[:NAMED]:
        said.append(f"{policy} is not drawn: {why}.")
    more = len(front.unsettled) - NAMED
    return [*said, f"{more} more are not drawn: they never settled."] if more > 0 else said
