"""A picture of a counterfactual: each request's times on both sides, and how their difference lies.

Knows two columns and two names.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from traces.figure_style import BLUE, GREY, VERMILION, label, legend, panels, plain_numbers, save
from traces.record import Floats

#: More points than this add ink, not information.
MOST_POINTS = 20_000
#: Times are drawn on a logarithmic axis, from this one up, seconds.
FLOOR_S = 1e-3


def counterfactual_plot(names: tuple[str, str], ttft_s: tuple[Floats, Floats], path: Path) -> Path:
    """`ttft_s` of base and other, shape (n,) each; nan where a request did not finish."""
    both = ~np.isnan(ttft_s[0] + ttft_s[1])
    base, other = ttft_s[0][both], ttft_s[1][both]
    figure, axes = panels(2, 1.1)
    _scatter(axes[0], names, base, other)
    _spread(axes[1], names, other - base)
    return save(figure, path)


def _scatter(axes: Axes, names: tuple[str, str], base: Floats, other: Floats) -> None:
    step = max(1, -(-len(base) // MOST_POINTS))
    x, y = (np.maximum(column[::step], FLOOR_S) for column in (base, other))
    axes.plot(x, y, ".", color=BLUE, markersize=2.5, alpha=0.5, rasterized=True)
    if len(x):
        ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
        axes.plot(ends, ends, color=GREY, linewidth=1.0, label="the same")
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_numbers(axes.xaxis)
        plain_numbers(axes.yaxis)
        legend(axes, "upper left")
    label(axes, f"TTFT under {names[0]} (s)", f"TTFT under {names[1]} (s)", "a dot a request")


def _spread(axes: Axes, names: tuple[str, str], apart: Floats) -> None:
    ranked = np.sort(apart)
    share = np.arange(1, len(ranked) + 1) / max(len(ranked), 1)
    axes.plot(ranked, share, color=BLUE)
    axes.axvline(0.0, color=VERMILION, linewidth=1.0)
    if len(ranked):
        # Linear around 0, logarithmic in the tails: both hold requests that matter.
        axes.set_xscale("symlog", linthresh=1.0)
        plain_numbers(axes.xaxis)
    axes.set_ylim(0.0, 1.0)
    title = f"left of 0: {names[1]} is sooner"
    label(axes, f"TTFT under {names[1]} - {names[0]} (s)", "share of requests", title)
