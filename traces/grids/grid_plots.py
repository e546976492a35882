"""Pictures of a grid: attainment against load, and cost against latency.

A policy that never settled has a hollow marker or none: no latency is drawn that a longer run would
move. Knows contests and fronts; the look is `traces.figure_style`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from traces import figure_style as style
from traces import policy_style as look
from traces.comparison import Measure
from traces.grids.contest import Contest
from traces.grids.grid import GridRuns
from traces.grids.pareto import Front, Spot

#: Policies with a colour of their own; the others are grey.
COLOURED: Final = 8
#: Panels beside each other, before another picture is begun.
ABREAST: Final = 3
GREY: Final = "#BBBBBB"
HOLLOW: Final = "queue never settled"
DODGE: Final = 1.012  # between policies' markers at one load, so that intervals do not hide
FRONT_NAMES: Final = 8  # names beside one frontier

Curve = Sequence[tuple[float, Contest]]


def attainment_over_load(
    runs: GridRuns, contests: Sequence[Contest], order: Sequence[str]
) -> Iterator[tuple[str, Figure]]:
    """A panel for each cell but for its load: means with 95 % intervals, a line a policy.

    `order` has the best policies first: those get the colours. Nothing without an axis of load.
    """
    curves = load_curves(runs, contests)
    for number, chosen in enumerate(_abreast(list(curves)), 1):
        figure, axes = style.panels(len(chosen), 1.7 if len(chosen) == 1 else 1.15)
        for panel, name in zip(axes, chosen, strict=True):
            _load_panel(panel, curves[name], order)
            left = "SLO attainment (% of arrived)" if panel is axes[0] else ""
            style.label(panel, "Load (times the workload's rate)", left, name)
        figure.set_figheight(4.0)
        standings = [s for name in chosen for _, c in curves[name] for s in c.standings]
        _key(figure, order, not all(own.settled for own in standings))
        yield f"attainment_over_load_{number}", figure


def load_curves(runs: GridRuns, contests: Sequence[Contest]) -> dict[str, Curve]:
    """Contests by rising load, for each cell that has several loads."""
    by_cell = {contest.cell: contest for contest in contests}
    curves: dict[str, list[tuple[float, Contest]]] = {}
    for cell in sorted(runs.study.cells, key=lambda own: own.load):
        if "load" in cell.coordinates and cell.name in by_cell:
            curves.setdefault(cell.beside_load, []).append((cell.load, by_cell[cell.name]))
    return {name: curve for name, curve in curves.items() if len(curve) > 1}


def _abreast(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), ABREAST):
        yield names[start : start + ABREAST]


def _load_panel(panel: Axes, curve: Curve, order: Sequence[str]) -> None:
    loads = [load for load, _ in curve]
    for place in reversed(range(len(order))):  # the best are drawn over the others
        _load_line(panel, curve, order[place], place)
    panel.set_xscale("log")
    panel.set_xticks(loads, [f"{load:g}" for load in loads])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_ylim(-2, 102)


def _load_line(panel: Axes, curve: Curve, policy: str, place: int) -> None:
    standings = [(load, contest.standing(policy)) for load, contest in curve]
    known = [(load, own, own.mean) for load, own in standings if own.mean is not None]
    coloured = place < COLOURED
    colour = look.colour(place) if coloured else GREY
    aside = (
        DODGE ** (place - (min(len(curve[0][1].standings), COLOURED) - 1) / 2) if coloured else 1
    )
    known = [(load * aside, own, mean) for load, own, mean in known]
    loads = [load for load, _, _ in known]
    means = [100 * mean.estimate for _, _, mean in known]
    panel.plot(
        loads,
        means,
        color=colour,
        linestyle=(look.dash(place) or "-") if coloured else "-",
        linewidth=1.5 if coloured else 0.6,
        zorder=3 if coloured else 1,
    )
    for load, own, mean in known if coloured else ():
        fill = colour if own.settled else "white"
        at = 100 * mean.estimate
        panel.plot([load], [at], "o", color=colour, markerfacecolor=fill, markersize=4, zorder=4)
        if mean.low is not None and mean.high is not None:
            ends = [100 * mean.low, 100 * mean.high]
            panel.plot([load, load], ends, color=colour, linewidth=1.0, marker="_", markersize=4)


def _key(figure: Figure, order: Sequence[str], hollow: bool) -> None:
    handles = list(look.line_key(list(order[:COLOURED])))
    if len(order) > COLOURED:
        rest = f"{len(order) - COLOURED} others"
        handles.append(Line2D([], [], color=GREY, linewidth=0.6, label=rest))
    if hollow:
        handles.append(_marker(style.BLACK, HOLLOW, "white"))
    look.legend_above(figure, handles, columns=3)


def _marker(colour: str, label: str, fill: str) -> Line2D:
    marker = Line2D([], [], linestyle="", marker="o", markersize=5, label=label)
    marker.set(color=colour, markerfacecolor=fill)
    return marker


def cost_against_latency(
    fronts: Sequence[Front], cost: Measure, latency: Measure, order: Sequence[str]
) -> Iterator[tuple[str, Figure]]:
    """A panel a cell with its frontier; dominated policies are pale, unsettled ones not drawn."""
    drawn = {front.cell: front for front in fronts if len(front.spots) > 1}
    stem = f"cost_against_{latency.label.lower().replace(' ', '_')}"
    for number, chosen in enumerate(_abreast(list(drawn)), 1):
        figure, axes = style.panels(len(chosen), 1.7 if len(chosen) == 1 else 1.15)
        for panel, name in zip(axes, chosen, strict=True):
            _front_panel(panel, drawn[name], order)
            title = f"{cost.label} ({cost.unit})"
            style.label(panel, title, f"{latency.label} (s)" if panel is axes[0] else "", name)
        look.legend_above(figure, _front_key(order), columns=6)
        yield f"{stem}_{number}", figure


def _front_key(order: Sequence[str]) -> list[Artist]:
    handles: list[Artist] = [
        _marker(look.colour(place), policy, look.colour(place))
        for place, policy in enumerate(order[:COLOURED])
    ]
    if len(order) > COLOURED:
        handles.append(_marker(GREY, f"{len(order) - COLOURED} others", GREY))
    handles.append(Line2D([], [], color=style.BLACK, linewidth=0.9, label="frontier"))
    handles.append(_marker(style.BLACK, "saturated in some seeds", "white"))
    return handles


def _front_panel(panel: Axes, front: Front, order: Sequence[str]) -> None:
    best = [front.spot(policy) for policy in front.best]
    for spot in reversed(front.spots):
        place = order.index(spot.policy)
        on_front = spot.policy in front.best
        colour = look.colour(place) if place < COLOURED else style.BLACK if on_front else GREY
        fill = "white" if spot.policy in front.partly else colour
        (dot,) = panel.plot([spot.cost], [spot.latency_s], "o", color=colour)
        dot.set(markerfacecolor=fill, markersize=5.5 if on_front else 4)
    x, y = _stairs(best)
    panel.plot(x, y, color=style.BLACK, linewidth=0.9, zorder=1)
    _scaled(panel.set_xscale, panel.xaxis, [spot.cost for spot in front.spots])
    _scaled(panel.set_yscale, panel.yaxis, [spot.latency_s for spot in front.spots])
    panel.margins(0.12)
    _named(panel, [spot for spot in best if order.index(spot.policy) >= COLOURED])


def _scaled(set_scale: Callable[[str], None], axis: Axis, values: Sequence[float]) -> None:
    """Logarithmic where values spread over a decade, with ticks that read as numbers."""
    if _spread(values) > 10:
        set_scale("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())


def _spread(values: Sequence[float]) -> float:
    low = min(values)
    return max(values) / low if low > 0 else 1.0


def _stairs(best: Sequence[Spot]) -> tuple[list[float], list[float]]:
    """The edge of what is beaten: right, then down."""
    x: list[float] = []
    y: list[float] = []
    for spot in best:
        if y:
            x.append(spot.cost)
            y.append(y[-1])
        x.append(spot.cost)
        y.append(spot.latency_s)
    return x, y


def _named(panel: Axes, spots: Sequence[Spot]) -> None:
    """Names beside their points, above and below in turn."""
    for place, spot in enumerate(spots[:FRONT_NAMES]):
        panel.annotate(
            spot.policy,
            (spot.cost, spot.latency_s),
            xytext=(5, -9 if place % 2 else 3),
            textcoords="offset points",
            fontsize=style.FONT - 3,
        )
