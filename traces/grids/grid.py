"""What a grid of runs gave: its cells, and a point for each run, small enough for thousands.

It knows which numbers of a summary a grid shows, and which of them mean nothing of a run that never
settled. The arithmetic over seeds is `contest`, the words are `grid_findings`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from traces.comparison import Measure
from traces.quantiles import ratio
from traces.summary import Summary, value_of

ATTAINMENT: Final = Measure("objective.attainment", "SLO attainment", "%", "higher", percent=True)
TTFT_P50: Final = Measure("latency.ttft_s.p50", "TTFT p50", "s")
TTFT_P99: Final = Measure("latency.ttft_s.p99", "TTFT p99", "s")
PRICE: Final = Measure("cost.per_1k_requests", "Cost / 1k requests", "$")
GPU_S: Final = Measure("cost.gpu_s_per_1k_requests", "GPU time / 1k requests", "GPU-s")
MEASURES: Final = (
    ATTAINMENT,
    TTFT_P50,
    TTFT_P99,
    GPU_S,
    PRICE,
    Measure("objective.ttft_attainment", "TTFT attainment", "%", "higher", percent=True),
    Measure("latency.tpot_s.p99", "TPOT p99", "s"),
    Measure("cold.ratio", "Cold requests", "%", percent=True),
    Measure("objective.goodput_requests_per_s", "Goodput", "req/s", "higher"),
    Measure("cost.per_1m_tokens", "Cost / 1M tokens", "$"),
)
#: Past saturation these depend on how long the run was.
STEADY: Final = frozenset({TTFT_P50.path, TTFT_P99.path, "latency.tpot_s.p99"})


class Cell(msgspec.Struct, frozen=True):
    """A scenario of the grid. `coordinates` are labels by axis; `load` multiplies the rate, as
    `load_in_words` says. `resolved` is every value of it, its policies and its files."""

    name: str
    coordinates: Mapping[str, str]
    load: float
    load_in_words: str
    trace: str
    requests: int
    resolved: Mapping[str, Any] = {}
    synthetic_fields: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def beside_load(self) -> str:
        """The cell without its load: what a curve over load is drawn for."""
        return ", ".join(label for axis, label in self.coordinates.items() if axis != "load")


class Point(msgspec.Struct, frozen=True):
    """One run: its numbers by path (None where unmeasured), and whether its queue settled."""

    cell: str
    policy: str
    seed: int
    values: Mapping[str, float | None]
    saturated: bool
    in_words: str


class GridStudy(msgspec.Struct, frozen=True):
    """What was run. `groups` is the recipe that a policy is made of, by the policy's name."""

    title: str
    scenario: str
    command: str
    axes: Mapping[str, Sequence[str]]
    cells: Sequence[Cell]
    seeds: Sequence[int]
    groups: Mapping[str, str]
    notes: Sequence[str] = ()


class GridRuns(msgspec.Struct, frozen=True):
    """A study and the points that are there so far."""

    study: GridStudy
    points: Sequence[Point]

    def of(self, cell: str) -> dict[str, list[Point]]:
        """A cell's points by policy, ascending seeds, over the seeds that all its policies have.

        Empty where there is no such seed.
        """
        by_policy: dict[str, dict[int, Point]] = {}
        for point in self.points:
            if point.cell == cell:
                by_policy.setdefault(point.policy, {})[point.seed] = point
        if len(by_policy) < len(self.study.groups):
            return {}
        shared = sorted(set.intersection(*(set(own) for own in by_policy.values())))
        if not shared:
            return {}
        return {policy: [own[seed] for seed in shared] for policy, own in by_policy.items()}

    @property
    def priced(self) -> bool:
        """Whether any node has a price."""
        return any(point.values.get(PRICE.path) for point in self.points)


def values_of(summary: Summary) -> dict[str, float | None]:
    """The numbers of a run that a grid shows, by their measures' paths."""
    values = {m.path: value_of(summary, m.path) for m in MEASURES if m is not GPU_S}
    per_request = ratio(summary.cost.gpu_s_total, summary.requests.finished)
    values[GPU_S.path] = None if per_request is None else 1e3 * per_request
    return values


def point_of(cell: str, policy: str, seed: int, summary: Summary) -> Point:
    state = summary.saturation
    return Point(cell, policy, seed, values_of(summary), state.saturated, state.in_words)


def unsettled(points: Sequence[Point]) -> str:
    """Why a policy's latencies in a cell are no steady state's: "" where most seeds settled."""
    saturated = [point for point in points if point.saturated]
    if 2 * len(saturated) <= len(points):
        return ""
    return (
        f"{_count(saturated, points)}; seed {saturated[0].seed}: {reason_of(saturated[0].in_words)}"
    )


def partly(points: Sequence[Point]) -> str:
    """A warning where some seeds, but not most, were saturated; else ""."""
    saturated = [point for point in points if point.saturated]
    if not saturated or 2 * len(saturated) > len(points):
        return ""
    return f"{_count(saturated, points)}, which its means include"


def _count(saturated: Sequence[Point], points: Sequence[Point]) -> str:
    return f"saturated in {len(saturated)} of {len(points)} seeds"


def reason_of(in_words: str) -> str:
    """ "the queue grew by 3.1 requests/s to the end" of all that a run says of its saturation."""
    _, _, words = in_words.partition(": ")
    return words.partition(";")[0] or in_words


def contested(runs: GridRuns) -> list[Measure]:
    """Those that policies are ranked by: cost is money where nodes have prices, else GPU time."""
    cost = PRICE if runs.priced else GPU_S
    return [own for own in (ATTAINMENT, TTFT_P50, TTFT_P99, cost) if _measured(runs, own)]


def others(runs: GridRuns) -> list[Measure]:
    """All else that some run measured."""
    ranked = contested(runs)
    return [own for own in MEASURES if own not in ranked and _measured(runs, own)]


def _measured(runs: GridRuns, measure: Measure) -> bool:
    return any(point.values.get(measure.path) is not None for point in runs.points)
