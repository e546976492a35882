"""Grids of made-up points, for the tests of what is said and drawn of them.

A policy's numbers are its own level, plus a seed's luck that all policies share, plus noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.streams import Streams
from traces.grids.grid import (
    ATTAINMENT,
    MEASURES,
    PRICE,
    TTFT_P50,
    TTFT_P99,
    Cell,
    GridRuns,
    GridStudy,
    Point,
)

SATURATED = "Saturated: the queue grew by 3.1 requests/s to the end; the mean wait was long."


@dataclass(frozen=True)
class Level:
    """A policy's own numbers; saturated in so many of the first seeds at `saturates_at` or more."""

    attainment: float = 0.9
    ttft_s: float = 10.0
    price: float = 1.0
    saturates_at: float = 1e9
    seeds: int = 1000


def grid(
    levels: Mapping[str, Level],
    loads: Sequence[float] = (1.0,),
    seeds: int = 6,
    traces: Sequence[str] = (),
    noise: float = 0.001,
) -> GridRuns:
    """Every policy on every load (and trace), with latencies that grow with the load."""
    cells = [_cell(trace, load, len(loads) > 1) for trace in traces or ("",) for load in loads]
    points = [
        _point(cell, policy, level, seed, noise)
        for cell in cells
        for policy, level in levels.items()
        for seed in range(seeds)
    ]
    axes = {"trace": list(traces)} if traces else {}
    if len(loads) > 1:
        axes["load"] = [f"{load:g}" for load in loads]
    groups = {policy: policy.partition("-")[0] for policy in levels}
    study = GridStudy("made", "made up", "hotbed compare", axes, cells, list(range(seeds)), groups)
    return GridRuns(study, points)


def _cell(trace: str, load: float, several: bool) -> Cell:
    coordinates = ({"trace": trace} if trace else {}) | ({"load": f"{load:g}"} if several else {})
    names = [label if axis == "trace" else f"load {label}" for axis, label in coordinates.items()]
    resolved = {"scenario": {"load": load}}
    return Cell(", ".join(names), coordinates, load, "drawn", "made", 100, resolved)


def _point(cell: Cell, policy: str, level: Level, seed: int, noise: float) -> Point:
    rng = Streams(seed).array(f"grid/{cell.name}/{policy}")
    luck = Streams(seed).array(f"grid/{cell.name}").normal(0.0, 0.02)
    own = luck + rng.normal(0.0, noise)
    values: dict[str, float | None] = {measure.path: 1.0 + own for measure in MEASURES}
    values[ATTAINMENT.path] = min(1.0, level.attainment / cell.load**0.2 + own)
    values[TTFT_P50.path] = level.ttft_s * cell.load * (0.1 + 0.1 * own)
    values[TTFT_P99.path] = level.ttft_s * cell.load * (1 + own)
    values[PRICE.path] = level.price * (1 + own)
    saturated = cell.load >= level.saturates_at and seed < level.seeds
    words = SATURATED if saturated else "Not saturated: the mean wait was short."
    return Point(cell.name, policy, seed, values, saturated, words)
