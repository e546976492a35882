"""`hotbed compare` over a grid: cells times policies times seeds, and who wins where.

It knows words and exit codes; what the runs say together is `traces.grids.grid_report`.
"""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import typer

from fleet.scenario import ScenarioError
from hotbed.binding import bind
from hotbed.comparing import load
from hotbed.comparing.grid import Axis, cells_of
from hotbed.comparing.grid import Cell as Scenarios
from hotbed.comparing.study import resolved
from hotbed.comparing.sweep import Job, jobs_of_cell, numbers
from hotbed.consoles import console
from hotbed.interrupts import INTERRUPTED
from hotbed.oracles import warning
from hotbed.scenarios import ANSWERS, Choice, Loaded, choices
from traces.grids.contest import Contest
from traces.grids.grid import Cell, GridRuns, GridStudy, Point, point_of
from traces.grids.grid_findings import caveats, everywhere
from traces.grids.grid_report import GridFacts, results, write_grid_report
from traces.grids.grid_tables import MARKS, ROWS, measure_table, winners_table

GROUP_OF_NONE = "composed"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study and its jobs; a job's cell is the name of one of the study's."""

    study: GridStudy
    jobs: list[Job]

    def conclude(self, out: Path, as_json: bool, complete: bool) -> None:
        """Table, report and data. Ends the command where it was interrupted."""
        runs = GridRuns(self.study, list(points_of(self.jobs)))
        if not complete:
            total = len(self.jobs)
            typer.echo(f"stopped: {len(runs.points)} of {total} runs are done and kept", err=True)
        if not any(runs.of(cell.name) for cell in self.study.cells):
            raise typer.Exit(INTERRUPTED)
        facts = GridFacts(runs)
        report = write_grid_report(out, facts)
        if as_json:
            shown = {"partial": not complete, **results(facts), "report": str(report)}
            typer.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
        else:
            _print(facts, report, out)
        if not complete:
            raise typer.Exit(INTERRUPTED)


def prepared(
    loaded: Loaded, axes: Sequence[Axis], policies: str | None, seeds: Sequence[int], out: Path
) -> Prepared:
    """What is to be run, written to run.json; what is wrong with a cell is said here, at once.

    Raises ScenarioError, and what `bind` and `choices` do.
    """
    cells, jobs, groups = [], [], dict[str, str]()
    for scenarios in cells_of(loaded, axes):
        chosen = choices(scenarios.loaded, policies)
        groups = _groups(scenarios, chosen, groups)
        values = resolved(scenarios.loaded, chosen, seeds)
        cells.append(_cell(scenarios, chosen, values, seeds[0]))
        jobs.append(jobs_of_cell(scenarios, chosen, seeds, out / "runs", values))
    study = GridStudy(
        title=loaded.scenario.name,
        scenario=loaded.scenario.description or loaded.scenario.name,
        command=shlex.join(["hotbed", *sys.argv[1:]]),
        axes={axis.name: [each.label for each in axis.alternatives] for axis in axes},
        cells=cells,
        seeds=list(seeds),
        groups=groups,
        notes=[*_notes(cells), *warning((one.name, one.policy) for one in chosen)],
    )
    out.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(study), indent=1)
    (out / "run.json").write_bytes(text + b"\n")
    return Prepared(study, list(_seed_by_seed(jobs, seeds)))


def _groups(
    scenarios: Scenarios, chosen: Sequence[Choice], others: Mapping[str, str]
) -> dict[str, str]:
    """The recipe of each policy, or the question that a single answer is of.

    Raises ScenarioError where `others`, if any, are not the same.
    """
    groups = {one.name: _group(one) for one in chosen}
    if others and others.keys() != groups.keys():
        differ = ", ".join(sorted(others.keys() ^ groups.keys()))
        raise ScenarioError(
            f"grid cell ({scenarios.name}) has other policies than the first: {differ}; make "
            "them variants, or name those of all cells with --policies"
        )
    return groups


def _group(one: Choice) -> str:
    if one.name in ANSWERS:
        return one.name.partition(".")[0]
    return str(one.policy.get("recipe", GROUP_OF_NONE))


def _cell(
    scenarios: Scenarios, chosen: Sequence[Choice], values: Mapping[str, Any], seed: int
) -> Cell:
    """Bound once for each way that copies may lie at the start."""
    scenario = scenarios.loaded.scenario
    ways = {one.residency.model_dump_json() if one.residency else "": one for one in chosen}
    bound = [bind(scenario, scenarios.loaded.folder, seed, one.residency) for one in ways.values()]
    meta = bound[0].requests.meta
    return Cell(
        name=scenarios.name,
        coordinates=scenarios.coordinates,
        load=scenarios.load,
        load_in_words=load.in_words(scenario.workload),
        trace=meta.source,
        requests=len(bound[0].requests),
        resolved=values,
        synthetic_fields=meta.synthetic_fields,
        notes=[f"{name}: {text}" for name, text in meta.notes.items()],
    )


def _notes(cells: Sequence[Cell]) -> list[str]:
    """How load was changed, once for each way."""
    if len({cell.load for cell in cells}) < 2:
        return []
    words = "; or ".join(dict.fromkeys(cell.load_in_words for cell in cells))
    return [f"Load is a multiple of the workload's own rate: {words}."]


def _seed_by_seed(jobs: Sequence[Sequence[Job]], seeds: Sequence[int]) -> Iterator[Job]:
    """Every cell's first seed before any second one: an early stop leaves a smaller grid."""
    for seed in seeds:
        for own in jobs:
            yield from (job for job in own if job.seed == seed)


def points_of(jobs: Sequence[Job]) -> Iterator[Point]:
    """The finished ones among them; one run is in memory at a time."""
    for job in jobs:
        found = numbers(job)
        if found is not None:
            yield point_of(job.cell, job.choice.name, job.seed, found.summary)


def _print(facts: GridFacts, report: Path, out: Path) -> None:
    screen = console()
    contests: list[list[Contest]] = [own for own in facts.contests.values() if own]
    screen.print(winners_table(contests))
    screen.print()
    screen.print(measure_table(contests[0], facts.order))
    screen.print(MARKS, style="dim", soft_wrap=True, highlight=False)
    if len(facts.order) > ROWS:
        screen.print(f"... and {len(facts.order) - ROWS} more policies in the report")
    sentences = [*map(everywhere, contests), *facts.runs.study.notes, *caveats(facts.runs)]
    for sentence in filter(None, sentences):
        screen.print(f"- {sentence}", soft_wrap=True, highlight=False)
    for path in (report, *sorted((out / "plots").glob("*.png"))):
        screen.print(str(path), soft_wrap=True, highlight=False)
