"""How figures look: fonts, sizes, a palette that colour-blind readers can tell apart, and saving.

Knows matplotlib's objects and no pyplot state; knows nothing of what is drawn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

# Okabe and Ito, Color Universal Design (2008).
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY, BLACK, GREY = "#D55E00", "#56B4E9", "#000000", "#666666"

Place: TypeAlias = Literal["best", "upper left", "upper right", "lower left", "lower right"]

DPI = 200
FONT = 10.0
PANEL_INCHES = (4.2, 3.1)


def panels(count: int, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels side by side, each `width` times the usual width."""
    inches = (PANEL_INCHES[0] * width * count, PANEL_INCHES[1])
    figure = Figure(figsize=inches, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1))
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, count, index + 1) for index in range(count)]
    for each in axes:
        _plain(each)
    return figure, axes


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Axis labels carry their units."""
    axes.set_xlabel(x, fontsize=FONT)
    axes.set_ylabel(y, fontsize=FONT)
    if title:
        axes.set_title(title, fontsize=FONT, loc="left")


def legend(axes: Axes, place: Place = "best") -> None:
    axes.legend(fontsize=FONT - 1, frameon=False, loc=place, handlelength=1.6)


def legend_above(axes: Axes) -> None:
    """In one row over the plot, where it hides no data."""
    count = len(axes.get_legend_handles_labels()[0])
    axes.legend(
        fontsize=FONT - 1,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.02, 0.98),
        ncols=count,
        handlelength=1.6,
        columnspacing=1.2,
    )


def whole_ticks(axis: Axis, most: int) -> None:
    """At most so many whole numbers, in steps of 1, 2 or 5 times a power of ten."""
    axis.set_major_locator(MaxNLocator(nbins=most, integer=True, steps=[1, 2, 5, 10]))


def plain_numbers(axis: Axis) -> None:
    """0.1, 1, 10 on a logarithmic axis in place of powers."""
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def save(figure: Figure, path: Path, about: Mapping[str, str] | None = None) -> Path:
    """As PNG, without the library's version in it: the same figure is the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None, **(about or {})})
    return path


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=FONT - 1)
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
