"""A fit as tables for the terminal: cells with their errors, the fitted numbers, the notes.

It shows a profile with its record; the numbers are the calibration's own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sim.calibration.calibrating import of_errors
from sim.calibration.hops import LINKS, pace_of
from sim.calibration.record import Calibration, Fitted
from sim.profiles import Profile

MIB, GB = 2**20, 1e9


def fit_tables(profile: Profile) -> Group:
    """Of a profile with a calibration."""
    record = profile.calibration
    assert record is not None, "only a fitted profile has tables"
    notes = [Text(f"note: {note}") for note in record.notes]
    return Group(_cells(record), Text(), _numbers(profile), Text(), *_errors(record.cells), *notes)


def error_figures(cells: Sequence[Fitted]) -> dict[str, Any]:
    """By part ("fit", "held_out"): cells, mean and 95th percentile of the absolute error."""
    figures = {}
    for part, held in (("fit", False), ("held_out", True)):
        errors = [cell.error for cell in cells if cell.held_out is held]
        if errors:
            mean, p95 = of_errors(errors)
            figures[part] = {"cells": len(errors), "mean": mean, "p95": p95}
    return figures


def _table(*headings: str, left: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < left else "right")
    return table


def _cells(record: Calibration) -> Table:
    table = _table(
        *("hop", "checkpoint", "MiB", "at once", "n"),
        *("measured ms", "[IQR]", "predicted ms", "error", ""),
        left=2,
    )
    for cell in record.cells:
        table.add_row(
            *(cell.hop, cell.checkpoint, f"{cell.nbytes / MIB:,.1f}", str(cell.concurrent)),
            *(str(cell.loads), _ms(cell.median_s)),
            Text(f"[{_ms(cell.low_s)} {_ms(cell.high_s)}]"),
            *(_ms(cell.predicted_s), f"{cell.error:+.1%}", "held out" if cell.held_out else ""),
        )
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f}" if seconds < 1 else f"{seconds * 1e3:,.0f}"


def _numbers(profile: Profile) -> Table:
    table = _table(
        *("hop", "base ms", "alone GB/s", "link GB/s", "lost by sharing", "cv", "from"), left=1
    )
    for hop in LINKS:
        load, pace = getattr(profile.loads, hop), pace_of(profile, hop)
        assumed = load is None or load.assumed
        table.add_row(
            *(hop, f"{pace.base_s * 1e3:.3g}", f"{pace.alone_bytes_per_s / GB:.3g}"),
            *(f"{pace.link_bytes_per_s / GB:.3g}", f"{pace.sharing_loss:.3f}"),
            *("-" if load is None else f"{load.cv:.3f}", "assumed" if assumed else "measured"),
        )
    attach = profile.attach
    origin = "assumed" if attach.assumed else "measured"
    table.add_row("attach", f"{attach.mean_s * 1e3:.3g}", "", "", "", f"{attach.cv:.3f}", origin)
    return table


def _errors(cells: Sequence[Fitted]) -> Iterator[Text]:
    words = {"fit": "fit", "held_out": "held out"}
    figures = error_figures(cells)
    for part, found in figures.items():
        yield Text(
            f"{words[part]}: {found['cells']} cells, absolute error {found['mean']:.1%} on "
            f"average, {found['p95']:.1%} at the 95th percentile"
        )
    if "held_out" not in figures:
        yield Text("held out: no cell; three sizes of one hop are the least for that")
