"""A counterfactual as tables for the terminal: it knows what was found and how to show it."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hotbed.asking.counterfactual import Said
from traces.asked.counterfactual import Change, Comparison, Cost, Gains
from traces.numerals import number
from traces.statistics import MIN_SEEDS, Interval

NOTHING = "-"


def tables(said: Said) -> Group:
    """The check of the base, the paired numbers, who gained, what it costs, and how to read it."""
    comparison = said.comparison
    title = (
        f"{said.scenario}: {comparison.requests:,} requests under {said.other} instead of "
        f"{said.base}, seeds {', '.join(map(str, said.seeds))}"
    )
    shown: list[RenderableType] = [Text(title, style="bold"), Text(str(said.check)), Text("")]
    shown += [_changes(said), Text(""), Text(_gains(comparison.gains, said.other)), Text("")]
    shown += [Text(f"- {line}") for line in _remarks(said)]
    return Group(*shown)


def _changes(said: Said) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in (said.base, said.other, "difference [95 %]"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for change in said.comparison.changes:
        table.add_row(*_row(change))
    for cost in said.comparison.costs:
        values = (f"{number(value)} {cost.unit}" for value in (cost.base, cost.other))
        table.add_row(cost.name, *values, _interval(cost.difference, 1.0, cost.unit), "")
    return table


def _row(change: Change) -> tuple[str, ...]:
    scale, unit, points = (100.0, "%", "points") if not change.unit else (1.0, "s", "s")
    values = (
        NOTHING if value is None else f"{number(value * scale)} {unit}"
        for value in (change.base, change.other)
    )
    return change.name, *values, _interval(change.difference, scale, points), _verdict(change)


def _verdict(change: Change) -> str:
    if change.real is None:
        return "too few blocks"
    if change.difference.low == change.difference.high == 0:
        return "the same"
    if not change.real:
        return "could be chance"
    lower = change.difference.estimate < 0
    return "better" if lower == (change.better == "lower") else "worse"


def _interval(interval: Interval, scale: float, unit: str) -> str:
    sign = "+" if interval.estimate > 0 else ""
    text = f"{sign}{number(interval.estimate * scale)}"
    if interval.low is not None and interval.high is not None:
        text += f" [{number(interval.low * scale)}, {number(interval.high * scale)}]"
    return f"{text} {unit}"


def _gains(gains: Gains, other: str) -> str:
    words = (
        f"to the first token {other} is sooner for {gains.sooner:.1%}, later for {gains.later:.1%} "
        f"and the same for {gains.same:.1%} of the requests"
    )
    ends = (
        ("only it finishes", gains.only_other_finished),
        ("only the base finishes", gains.only_base_finished),
        ("neither finishes", gains.neither_finished),
    )
    told = [f"{name} {share:.1%}" for name, share in ends if share]
    return "; ".join([words, *told]) + "."


def _remarks(said: Said) -> Iterator[str]:
    comparison: Comparison = said.comparison
    yield comparison.method
    if any(cost.difference.low is None for cost in comparison.costs):
        yield _one_world(comparison.costs, comparison.worlds)
    yield from comparison.notes
    yield from said.notes


def _one_world(costs: tuple[Cost, ...], worlds: int) -> str:
    names = " and ".join(cost.name for cost in costs)
    return (
        f"{names} are totals of a run: an interval of them needs {MIN_SEEDS} worlds or more "
        f"(--seeds), not {worlds}"
    )
