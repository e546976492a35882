"""Capacities as a table for the terminal, the largest first, and in words."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from traces.comparison import Measure, Row
from traces.findings import headline, standings
from traces.grids.capacity import Capacity, shown
from traces.numerals import number
from traces.statistics import MIN_SEEDS, compare


def ordered(found: Mapping[str, Capacity]) -> list[str]:
    """By capacity, the largest first; never reached before never met."""
    return sorted(found, key=lambda policy: -_size(found[policy]))


def _size(own: Capacity) -> float:
    if own.load is not None:
        return own.load.estimate
    return float("inf") if own.bracket[1] is None else 0.0


def capacity_table(found: Mapping[str, Capacity], target: float, objective: str) -> Table:
    title = f"the largest load at which {100 * target:g} % have {objective}"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    table.add_column("policy", no_wrap=True)
    table.add_column("load (x)")
    for heading in ("requests/s", "passed at", "missed at", "probes", "unclear"):
        table.add_column(heading, justify="right")
    for policy in ordered(found):
        own = found[policy]
        rate = "-" if own.rate_rps is None else number(own.rate_rps)
        ends = ("-" if end is None else f"{end:g}" for end in own.bracket)
        unclear = sum(not probe.sure(target) for probe in own.probes)
        table.add_row(policy, shown(own), rate, *ends, str(len(own.probes)), str(unclear))
    return table


def in_words(found: Mapping[str, Capacity], seeds: int) -> list[str]:
    """Which capacities differ for real, seed by seed, and what to be careful with."""
    said = []
    known = {policy: own.by_seed for policy, own in found.items() if own.load is not None}
    if len(known) > 1:
        measure = Measure("capacity", "Capacity", "x", "higher")
        row = Row(measure, compare(known, "capacity"))
        said += [headline(row), *(standings(row) if len(known) <= MOST_PAIRED else ())]
    said += [f"{policy}: {remark}." for policy, own in found.items() for remark in own.remarks]
    said += _ends(found, seeds)
    if seeds < MIN_SEEDS:
        said.append(f"{seeds} seeds are too few for intervals ({MIN_SEEDS} are needed).")
    return [sentence for sentence in said if sentence]


MOST_PAIRED = 12  # policies of which every pair is said


def _ends(found: Mapping[str, Capacity], seeds: int) -> Sequence[str]:
    return [
        f"{policy}: {own.at_an_end} of {seeds} seeds cross outside of what was probed; they count "
        "with the outermost probe."
        for policy, own in found.items()
        if own.load is not None and own.at_an_end
    ]
