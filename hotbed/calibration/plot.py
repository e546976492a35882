"""Predicted against measured load times, as a picture."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sim.calibration.record import Calibration

COLOURS = {"dram": "#1b7837", "ssd": "#2166ac", "remote": "#b2182b", "attach": "#762a83"}


def write_plot(record: Calibration, path: Path) -> None:
    """A point a cell with its quartiles; held-out cells are open. Formats are matplotlib's.

    Raises OSError, and ValueError for a format that matplotlib has not.
    """
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    with mpl.rc_context({"font.size": 9}):
        axes = figure.subplots()
        _draw(axes, record)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


def _draw(axes: Axes, record: Calibration) -> None:
    for hop, colour in COLOURS.items():
        for held in (False, True):
            cells = [c for c in record.cells if c.hop == hop and c.held_out is held]
            if not cells:
                continue
            low = [cell.median_s - min(cell.low_s, cell.median_s) for cell in cells]
            high = [max(cell.high_s, cell.median_s) - cell.median_s for cell in cells]
            axes.errorbar(
                [cell.median_s for cell in cells],
                [cell.predicted_s for cell in cells],
                xerr=(low, high),
                fmt="o",
                color=colour,
                mfc="none" if held else colour,
                label=f"{hop}, held out" if held else hop,
            )
    every = [seconds for c in record.cells for seconds in (c.median_s, c.predicted_s)]
    ends = [min(every) / 1.5, max(every) * 1.5]
    axes.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="measured, s (median and quartiles)", ylabel="predicted by the simulator, s")
    axes.set_title(f"{record.loader} to {record.device}: {record.machine.get('cpu', '')}")
    axes.legend(frameon=False)
