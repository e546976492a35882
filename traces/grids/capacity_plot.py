"""Draws capacities: what was probed at which load, and where each policy's attainment gives way."""

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from traces import figure_style as style
from traces import policy_style as look
from traces.grids.capacity import Capacity, Probe


def capacity_figure(found: Mapping[str, Capacity], target: float, objective: str) -> Figure:
    """Left the probes, hollow where the queue never settled; right the capacities with their
    intervals, a policy without one in words. `objective` as "TTFT <= 10 s"."""
    figure, (probes, loads) = style.panels(2, 1.35)
    figure.set_figheight(max(3.4, 1.2 + 0.22 * len(found)))
    for place, own in enumerate(found.values()):
        for probe in own.probes:
            _probe(probes, probe, place)
        _line(probes, own, place)
    probes.axhline(100 * target, color=style.GREY, linewidth=0.9, linestyle=(0, (2, 2)))
    probes.annotate(
        f"{100 * target:g} %",
        (0.01, 100 * target),
        xycoords=("axes fraction", "data"),
        fontsize=style.FONT - 2,
        color=style.GREY,
        va="top",
    )
    _log(probes)
    style.label(probes, "Load (times the workload's rate)", f"Requests with {objective} (%)")
    for place, own in enumerate(found.values()):
        _bar(loads, own, place)
    look.rows(loads, list(found))
    loads.set_xlim(left=0)
    style.label(loads, f"Load at which {100 * target:g} % are met", "")
    hollow = any(not probe.settled for own in found.values() for probe in own.probes)
    look.legend_above(figure, _key(list(found), hollow))
    return figure


def _key(policies: Sequence[str], hollow: bool) -> list[Artist]:
    """Policies have their names beside their bars; here their lines, while those can be told."""
    handles = look.line_key(policies) if len(policies) <= len(look.COLOURS) else []
    if hollow or not handles:
        ring = Line2D([], [], linestyle="", marker="o", markersize=4, label="queue never settled")
        ring.set(color=style.BLACK, markerfacecolor="white")
        handles.append(ring)
    return handles


def _log(panel: Axes) -> None:
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())


def _probe(panel: Axes, probe: Probe, place: int) -> None:
    colour, mean = look.colour(place), probe.mean
    (dot,) = panel.plot([probe.load], [100 * mean.estimate], "o", color=colour, markersize=4)
    dot.set_markerfacecolor(colour if probe.settled else "white")
    if mean.low is not None and mean.high is not None:
        ends = [100 * mean.low, 100 * mean.high]
        panel.plot([probe.load, probe.load], ends, color=colour, linewidth=0.8)


def _line(panel: Axes, own: Capacity, place: int) -> None:
    means = [100 * probe.mean.estimate for probe in own.probes]
    at = [probe.load for probe in own.probes]
    panel.plot(at, means, color=look.colour(place), linestyle=look.dash(place) or "-", linewidth=1)


def _bar(panel: Axes, own: Capacity, place: int) -> None:
    if own.load is None:
        panel.text(0, place, f" {own.reason.partition(':')[0]}", va="center", fontsize=7)
        return
    panel.barh(place, own.load.estimate, 0.7, color=look.colour(place))
    if own.load.low is not None and own.load.high is not None:
        ends = [own.load.low, own.load.high]
        panel.plot(ends, [place, place], color=style.BLACK, linewidth=1.1, marker="|")
