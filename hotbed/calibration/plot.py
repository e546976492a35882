"""Predicted against measured load times, as a picture."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sim.calibration.record import Calibration, Fitted

COLOURS = {"dram": "#1b7837", "ssd": "#2166ac", "remote": "#b2182b", "attach": "#762a83"}


def write_plot(record: Calibration, path: Path) -> None:
    """A point a cell: predicted against measured with its quartiles, and the error below.

    Held-out cells are open. Raises OSError, and ValueError for an ending that matplotlib has not.
    """
    with mpl.rc_context({"font.size": 9}):
        figure = drawn(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


def drawn(record: Calibration) -> Figure:
    figure = Figure(figsize=(6.4, 6.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    for hop, colour in COLOURS.items():
        for held in (False, True):
            cells = [c for c in record.cells if c.hop == hop and c.held_out is held]
            if cells:
                _points(above, below, cells, {"color": colour, "mfc": "none" if held else colour})
    _frame(above, below, record)
    return figure


def _points(above: Axes, below: Axes, cells: list[Fitted], look: dict[str, str]) -> None:
    measured = [cell.median_s for cell in cells]
    low = [max(0.0, cell.median_s - cell.low_s) for cell in cells]
    high = [max(0.0, cell.high_s - cell.median_s) for cell in cells]
    label = f"{cells[0].hop}, held out" if cells[0].held_out else cells[0].hop
    predicted = [cell.predicted_s for cell in cells]
    above.errorbar(measured, predicted, xerr=(low, high), fmt="o", label=label, **look)  # type: ignore[arg-type]
    below.plot(measured, [100 * cell.error for cell in cells], "o", **look)  # type: ignore[arg-type]


def _frame(above: Axes, below: Axes, record: Calibration) -> None:
    every = [seconds for c in record.cells for seconds in (c.median_s, c.predicted_s)]
    ends = (min(every) / 1.5, max(every) * 1.5)
    above.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
    above.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    above.set_ylabel("predicted by the simulator, s")
    above.set_title(f"{record.loader} to {record.device}: {record.machine.get('cpu', '')}")
    above.legend(frameon=False)
    below.axhline(0, color="0.6", linewidth=1, zorder=0)
    below.set(xlabel="measured, s (median and quartiles)", ylabel="error, %")
