"""Pictures of a grid draw what was measured, hollow or not at all where nothing settled."""

import numpy as np
from matplotlib.figure import Figure

from tests.traces.gridded import Level, grid
from traces.grids.contest import contests_of
from traces.grids.grid import ATTAINMENT, PRICE, TTFT_P99
from traces.grids.grid_plots import HOLLOW, attainment_over_load, cost_against_latency
from traces.grids.pareto import front_of

LEVELS = {"good": Level(0.9, 5.0, 2.0), "cheap": Level(0.7, 9.0, 1.0), "hopeless": Level(0.5)}
LEVELS["hopeless"] = Level(0.5, 7.0, 1.5, saturates_at=2.0)
RUNS = grid(LEVELS, loads=(1.0, 2.0, 4.0))
ORDER = ["good", "cheap", "hopeless"]


def texts(figure: Figure) -> str:
    found = [own.get_text() for panel in figure.axes for own in panel.texts]
    found += [own.get_text() for legend in figure.legends for own in legend.get_texts()]
    return "\n".join(found)


def test_attainment_over_load_has_a_line_a_policy_and_hollow_markers_past_saturation() -> None:
    ((name, figure),) = attainment_over_load(RUNS, contests_of(RUNS, ATTAINMENT), ORDER)
    assert name == "attainment_over_load_1"
    (panel,) = figure.axes
    lines = [line for line in panel.lines if np.size(line.get_xdata()) == 3]
    assert len(lines) == 3
    hollow = [line for line in panel.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2  # hopeless at loads 2 and 4
    assert HOLLOW in texts(figure)


def test_without_an_axis_of_load_there_is_no_such_picture() -> None:
    runs = grid(LEVELS)
    assert not list(attainment_over_load(runs, contests_of(runs, ATTAINMENT), ORDER))


def test_cost_against_latency_draws_settled_policies_only() -> None:
    costs, latencies = contests_of(RUNS, PRICE), contests_of(RUNS, TTFT_P99)
    fronts = [front_of(cost, own) for cost, own in zip(costs, latencies, strict=True)]
    ((_, figure),) = cost_against_latency(fronts, PRICE, TTFT_P99, ORDER)
    dots = [
        sum(line.get_marker() == "o" and np.size(line.get_xdata()) == 1 for line in panel.lines)
        for panel in figure.axes
    ]
    assert dots == [3, 2, 2]
