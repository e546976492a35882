"""The report of a grid: one HTML file that needs nothing else, and its data beside it.

Who wins where comes first; what dozens of policies gave in each cell is there, folded away.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from matplotlib.figure import Figure

from traces.comparison import Measure
from traces.grids.contest import Contest, closeness, contests_of
from traces.grids.grid import (
    ATTAINMENT,
    GPU_S,
    PRICE,
    STEADY,
    TTFT_P50,
    TTFT_P99,
    Cell,
    GridRuns,
    Point,
    contested,
    others,
    unsettled,
)
from traces.grids.grid_findings import care_taken, caveats, domination, everywhere, winner
from traces.grids.grid_plots import attainment_over_load, cost_against_latency
from traces.grids.pareto import Front, front_of
from traces.grids.ranking import Ranked, grouped, ranking
from traces.numerals import number
from traces.plots import save_both
from traces.report import embedded, flat, template
from traces.statistics import LEVEL
from traces.tables import bounds_shown

#: Heat from white to a blue that black text is read on.
HEAT_RGB: Final = (124, 181, 224)
FEW: Final = 6  # cells whose details are open


class GridFacts:
    """Contests of every measure, ranked and compared once for all that is shown."""

    def __init__(self, runs: GridRuns) -> None:
        self.runs = runs
        self.measures = contested(runs)
        self.contests = {m.path: contests_of(runs, m) for m in self.measures}
        self.others = {m.path: contests_of(runs, m, tested=False) for m in others(runs)}
        first = next(iter(self.contests.values()), [])
        self.ranked = ranking(first, runs.study.groups)
        self.order = [own.policy for own in self.ranked]

    @property
    def cost(self) -> Measure:
        """Money where nodes have prices, else GPU time."""
        return PRICE if self.runs.priced else GPU_S

    def fronts(self, latency: Measure) -> list[Front]:
        costs = {c.cell: c for c in self.contests.get(self.cost.path, ())}
        latencies = self.contests.get(latency.path, ())
        return [front_of(costs[c.cell], c) for c in latencies if c.cell in costs]


def write_grid_report(out_dir: Path, facts: GridFacts) -> Path:
    """Writes report.html, results.json and plots/ into `out_dir`; returns the report's path."""
    out_dir.mkdir(parents=True, exist_ok=True)
    plots = _save_plots(facts, out_dir / "plots")
    data = msgspec.json.encode(results(facts))
    (out_dir / "results.json").write_bytes(msgspec.json.format(data, indent=1) + b"\n")
    path = out_dir / "report.html"
    path.write_text(html(facts, plots), encoding="utf-8")
    return path


def results(facts: GridFacts) -> dict[str, Any]:
    """What results.json holds: the study with every value and seed, all runs, and the contests.

    A number that no steady state has is null, with its reason.
    """
    return {
        "study": facts.runs.study,
        "contests": [contest_data(contest) for own in facts.contests.values() for contest in own],
        "runs": list(_steady(facts.runs)),
    }


def _steady(runs: GridRuns) -> Iterator[Point]:
    """All runs, without the latencies of policies that never settled in a cell."""
    never = {(cell, policy) for cell, policy, _ in _never(runs)}
    for point in runs.points:
        unsteady = STEADY if (point.cell, point.policy) in never else ()
        values = {path: None if path in unsteady else v for path, v in point.values.items()}
        yield msgspec.structs.replace(point, values=values)


def contest_data(contest: Contest) -> dict[str, Any]:
    return {
        "cell": contest.cell,
        "measure": contest.measure.path,
        "best": contest.best,
        "cannot_be_told_from_it": contest.tied,
        "worse_for_real": contest.beaten,
        "policies": {
            own.policy: {"mean": own.mean, "settled": own.settled, "note": own.note or None}
            for own in contest.standings
        },
    }


def _save_plots(facts: GridFacts, directory: Path) -> dict[str, Path]:
    return {name: save_both(figure, directory / f"{name}.png") for name, figure in _figures(facts)}


def _figures(facts: GridFacts) -> Iterator[tuple[str, Figure]]:
    """One at a time: a picture of many policies takes memory."""
    attainments = facts.contests.get(ATTAINMENT.path, ())
    yield from attainment_over_load(facts.runs, attainments, facts.order)
    for latency in (TTFT_P50, TTFT_P99):
        fronts = facts.fronts(latency)
        yield from cost_against_latency(fronts, facts.cost, latency, facts.order)


def html(facts: GridFacts, plots: Mapping[str, Path]) -> str:
    runs = facts.runs
    main = next(iter(facts.contests.values()), [])
    return template("grids/grid.html.j2").render(
        study=runs.study,
        policies=len(runs.study.groups),
        runs=len(runs.points),
        planned=len(runs.study.cells) * len(runs.study.groups) * len(runs.study.seeds),
        cells=runs.study.cells,
        overall=[text for text in map(everywhere, facts.contests.values()) if text],
        winners=_winners(facts),
        caveats=caveats(runs),
        care=care_taken(main, len(facts.measures)),
        ranks=_ranks(facts),
        heats=[_heat(facts, measure) for measure in facts.measures],
        over_load=[embedded(p) for name, p in plots.items() if name.startswith("attainment_over")],
        fronts=[_fronts(facts, plots, latency) for latency in (TTFT_P50, TTFT_P99)],
        never=_never(runs),
        few=len(runs.study.cells) <= FEW,
        tables=[_table(facts, cell.name) for cell in runs.study.cells if runs.of(cell.name)],
        level=round(LEVEL * 100),
        parameters=[(cell.name, _parameters(cell)) for cell in runs.study.cells],
    )


def _parameters(cell: Cell) -> list[tuple[str, str]]:
    """Everything that was resolved, and what the trace says of itself."""
    return [*flat(cell.resolved), *(("note of the trace", note) for note in cell.notes)]


def _winners(facts: GridFacts) -> list[tuple[str, list[str]]]:
    """A cell's sentences, one a measure."""
    by_cell: dict[str, list[str]] = {}
    for contests in facts.contests.values():
        for contest in contests:
            by_cell.setdefault(contest.cell, []).append(winner(contest))
    return list(by_cell.items())


def _ranks(facts: GridFacts) -> list[tuple[str, list[tuple[Ranked, list[str]]]]]:
    """Groups of policies; each with its mean rank in every measure."""
    others = {
        path: {own.policy: own for own in ranking(contests, facts.runs.study.groups)}
        for path, contests in facts.contests.items()
    }
    return [
        (group, [(own, [_rank(others[path][own.policy]) for path in others]) for own in members])
        for group, members in grouped(facts.ranked).items()
    ]


def _rank(own: Ranked) -> str:
    return f"{own.mean_rank:.1f}"


def _heat(
    facts: GridFacts, measure: Measure
) -> tuple[str, list[str], list[tuple[str, list[tuple[str, str, str, str]]]]]:
    """Heading, cells, and for each policy (text, bounds, colour, note) by cell."""
    contests = facts.contests[measure.path]
    shares = [closeness(contest) for contest in contests]
    lines = [
        (policy, [_heat_cell(c, policy, s) for c, s in zip(contests, shares, strict=True)])
        for policy in facts.order
    ]
    return _heading(measure), [contest.cell for contest in contests], lines


def _heat_cell(
    contest: Contest, policy: str, shares: Mapping[str, float]
) -> tuple[str, str, str, str]:
    own = contest.standing(policy)
    if own.mean is None:
        return ("never settled" if not own.settled else "-"), "", "", own.note
    scale = 100.0 if contest.measure.percent else 1.0
    mark = " ★" if policy == contest.best else " ≈" if policy in contest.tied else ""
    text = f"{number(own.mean.estimate * scale)}{mark}{'' if not own.note else ' †'}"
    return text, bounds_shown(own.mean, scale), _colour(shares[policy]), own.note


def _colour(share: float) -> str:
    parts = (round(255 + (full - 255) * share) for full in HEAT_RGB)
    return "#" + "".join(f"{part:02x}" for part in parts)


def _fronts(
    facts: GridFacts, plots: Mapping[str, Path], latency: Measure
) -> tuple[str, list[tuple[str, int]], list[tuple[str, list[str]]]]:
    stem = f"cost_against_{latency.label.lower().replace(' ', '_')}"
    pictures = [embedded(path) for name, path in plots.items() if name.startswith(stem)]
    words = [(front.cell, domination(front)) for front in facts.fronts(latency)]
    return f"{facts.cost.label} against {latency.label}", pictures, words


def _never(runs: GridRuns) -> list[tuple[str, str, str]]:
    """Cell, policy and why, of those that never settled."""
    return [
        (cell.name, policy, unsettled(points))
        for cell in runs.study.cells
        for policy, points in runs.of(cell.name).items()
        if unsettled(points)
    ]


def _table(
    facts: GridFacts, cell: str
) -> tuple[str, list[str], list[tuple[str, list[tuple[str, str]]]]]:
    """All measures of one cell, policies in order of rank."""
    everything = {**facts.contests, **facts.others}
    found = [c for contests in everything.values() for c in contests if c.cell == cell]
    lines = [(policy, [_plain_cell(c, policy) for c in found]) for policy in facts.order]
    return cell, [_heading(c.measure) for c in found], lines


def _heading(measure: Measure) -> str:
    return f"{measure.label} ({measure.unit})" if measure.unit else measure.label


def _plain_cell(contest: Contest, policy: str) -> tuple[str, str]:
    own = contest.standing(policy)
    if own.mean is None:
        return ("never settled" if not own.settled else "-"), ""
    scale = 100.0 if contest.measure.percent else 1.0
    return number(own.mean.estimate * scale), bounds_shown(own.mean, scale)
