"""The comparison as a table for the terminal: policies as rows, intervals below the means."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from traces.comparison import Row
from traces.numerals import compact
from traces.statistics import Interval

#: What fits a terminal of 100 columns; the report shows all.
COLUMNS: Final = (
    "latency.ttft_s.p50",
    "latency.ttft_s.p99",
    "cold.ratio",
    "objective.attainment",
    "cost.gpu_s_total",
    "cost.price_total",
)


def comparison_table(rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> Table:
    """One line a policy, best mean of each column in bold, 95 % interval dim beneath it.

    `rows` as `compare_runs` returns them; `columns` are the paths of the measures shown.
    """
    by_path = {row.measure.path: row for row in rows}
    shown = [by_path[path] for path in columns if path in by_path]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("policy")
    policies = list(shown[0].comparison.means) if shown else []
    for row in shown:
        unit = f" ({row.measure.unit})" if row.measure.unit else ""
        cells = [_cell(row, policy) for policy in policies]
        widest = max(len(line) for cell in cells for line in cell.plain.split("\n"))
        table.add_column(row.measure.label + unit, justify="right", min_width=widest)
    for policy in policies:
        table.add_row(policy, *(_cell(row, policy) for row in shown))
    return table


def _cell(row: Row, policy: str) -> Text:
    mean = row.comparison.means[policy]
    if mean is None:
        return Text("-", style="dim")
    scale = 100.0 if row.measure.percent else 1.0
    best = "bold" if policy == row.best else ""
    text = Text(compact(mean.estimate * scale), style=best, no_wrap=True)
    bounds = bounds_shown(mean, scale).replace(", ", ",")
    return text.append(f"\n{bounds}", style="dim not bold") if bounds else text


def bounds_shown(mean: Interval, scale: float) -> str:
    """ "[low, high]", or nothing where there are too few seeds."""
    if mean.low is None or mean.high is None:
        return ""
    return f"[{compact(mean.low * scale)}, {compact(mean.high * scale)}]"
