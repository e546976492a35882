"""A grid as tables for the terminal: who wins where, and a measure over all cells."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from traces.grids.contest import Contest
from traces.numerals import compact

#: What the marks in the tables say.
MARKS: Final = "bold: the best mean; = cannot be told from it; † saturated in some seeds or in most"
ROWS: Final = 12  # policies shown; the report has all


def winners_table(contests: Sequence[Sequence[Contest]]) -> Table:
    """Cells as rows; the best policy of each measure, and how many cannot be told from it.

    `contests` are those of a measure after the other.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("cell")
    for own in contests:
        unit = f" ({own[0].measure.unit})" if own[0].measure.unit else ""
        table.add_column(f"{own[0].measure.label}{unit}")
    for row in zip(*contests, strict=True):
        table.add_row(row[0].cell or "the scenario", *map(_won, row))
    return table


def _won(contest: Contest) -> Text:
    if contest.best is None:
        return Text("nobody settled", style="dim")
    own = contest.standing(contest.best)
    assert own.mean is not None, "the best has a mean"
    scale = 100.0 if contest.measure.percent else 1.0
    mark = "†" if own.note else ""
    text = Text(f"{contest.best} {compact(own.mean.estimate * scale)}{mark}", overflow="fold")
    if contest.tied:
        text.append(f"\ntied with {len(contest.tied)} more", style="dim")
    return text


def measure_table(contests: Sequence[Contest], order: Sequence[str]) -> Table:
    """Policies as rows, cells as columns, the best ranked first; ties with the best marked =."""
    measure = contests[0].measure
    unit = f" ({measure.unit})" if measure.unit else ""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{measure.label}{unit}", no_wrap=True)
    for contest in contests:
        table.add_column(contest.cell or "the scenario", justify="right")
    for policy in order[:ROWS]:
        table.add_row(policy, *(_cell(contest, policy) for contest in contests))
    return table


def _cell(contest: Contest, policy: str) -> Text:
    own = contest.standing(policy)
    if own.mean is None:
        return Text("never settled" if not own.settled else "-", style="dim")
    scale = 100.0 if contest.measure.percent else 1.0
    mark = "=" if policy in contest.tied else ""
    text = Text(
        f"{compact(own.mean.estimate * scale)}{mark}{'†' if own.note else ''}",
        style="bold" if policy == contest.best else "",
    )
    return text
