"""How policies, causes and time look in every comparison: one colour and dash each, one legend.

Knows no run and no number; the general look is `traces.figure_style`'s.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from traces import figure_style as style
from traces.record import Floats

Dash: TypeAlias = tuple[float, Sequence[float]] | None

COLOURS: Final = (
    style.BLUE,
    style.ORANGE,
    style.GREEN,
    style.VERMILION,
    style.PURPLE,
    style.SKY,
    style.GREY,
    style.BLACK,
)
DASHES: Final[tuple[Dash, ...]] = (None, (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.2, 1.5)))
CAUSES: Final = {
    "serving": style.GREEN,
    "loading": style.ORANGE,
    "idle": style.SKY,
    "migration": style.PURPLE,
    "training": style.BLUE,
    "wasted": style.VERMILION,
}


def colour(i: int) -> str:
    """Of the i-th policy."""
    return COLOURS[i % len(COLOURS)]


def dash(i: int) -> Dash:
    """Of the i-th policy's line: with the colour, 8 are distinct without colour in fours."""
    return DASHES[i % len(DASHES)]


def cause_colour(cause: str) -> str:
    return CAUSES.get(cause, style.GREY)


def phase_colour(i: int, n: int) -> tuple[float, float, float, float]:
    """Of the i-th of n start-up phases: unlike any policy's, and in order of lightness."""
    red, green, blue, alpha = colormaps["cividis"]((i + 0.5) / n)
    return red, green, blue, alpha


def by_cause(cause: str) -> int:
    """A sort key: causes in their usual order, unknown ones last."""
    return [*CAUSES, cause].index(cause)


def band(panel: Axes, x: Floats, values: Floats, i: int) -> None:
    """Policy i's mean over seeds (rows of `values`, shape (seeds, len(x))) and their range."""
    panel.plot(x, values.mean(axis=0), color=colour(i), linestyle=dash(i) or "-", linewidth=1.5)
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        panel.fill_between(x, low, high, color=colour(i), alpha=0.13, linewidth=0)


def rows(panel: Axes, names: Sequence[str]) -> None:
    """Row names on the left, the first on top."""
    panel.set_yticks(range(len(names)), names, fontsize=style.FONT - 1)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")


def time_unit(longest_s: float) -> tuple[float, str]:
    """Seconds in the unit that suits a span, and its name."""
    if longest_s >= 3 * 3600:
        return 3600.0, "h"
    return (60.0, "min") if longest_s >= 600 else (1.0, "s")


def line_key(policies: Sequence[str]) -> list[Artist]:
    """Legend entries of lines."""
    return [
        Line2D([], [], color=colour(i), linestyle=dash(i) or "-", linewidth=1.5, label=policy)
        for i, policy in enumerate(policies)
    ]


def bar_key(policies: Sequence[str]) -> list[Artist]:
    """Legend entries of bars."""
    return [Patch(color=colour(i), label=policy) for i, policy in enumerate(policies)]


def legend_above(figure: Figure, handles: Sequence[Artist], columns: int = 4) -> None:
    """Over all panels, where it covers no data."""
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), columns),
        fontsize=style.FONT - 1,
        frameon=False,
        handlelength=1.8,
        columnspacing=1.4,
    )
