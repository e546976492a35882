"""`hotbed compare` of one scenario: policies over paired seeds, pair by pair.

It knows words and exit codes; what the runs say together is `traces.comparison`.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import typer

from hotbed.binding import bind
from hotbed.comparing.study import resolved, study_of
from hotbed.comparing.sweep import Job, jobs_of, runs_of
from hotbed.consoles import console
from hotbed.interrupts import INTERRUPTED
from hotbed.oracles import warning
from hotbed.scenarios import Loaded, choices
from traces.comparison import MEASURES, Run, compare_runs
from traces.findings import caveats, headline
from traces.report import Study, write_report
from traces.tables import comparison_table


@dataclass(frozen=True, slots=True)
class Pairs:
    """A study and its jobs."""

    study: Study
    jobs: list[Job]

    def conclude(self, out: Path, as_json: bool, complete: bool) -> None:
        """Table, report and data. Ends the command where it was interrupted."""
        runs = list(runs_of(self.jobs))
        if not complete:
            typer.echo(f"stopped: {len(runs)} of {len(self.jobs)} runs are done and kept", err=True)
            if not _pairable(runs, self.jobs):
                raise typer.Exit(INTERRUPTED)
        report = write_report(out, self.study, runs)
        if as_json:
            _print_json(self.study, runs, report, complete)
        else:
            _print_table(self.study, runs, report, out)
        if not complete:
            raise typer.Exit(INTERRUPTED)


def prepared(loaded: Loaded, policies: str | None, seeds: Sequence[int], out: Path) -> Pairs:
    """What is to be run, written to run.json.

    What is wrong with the scenario is said here once, not by every process. Raises what `bind`
    and `choices` do.
    """
    chosen = choices(loaded, policies)
    values = resolved(loaded, chosen, seeds)
    bound = [bind(loaded.scenario, loaded.folder, seeds[0], one.residency) for one in chosen]
    _write_values(out, values)
    study = study_of(values, bound[0].requests.meta, shlex.join(["hotbed", *sys.argv[1:]]))
    return Pairs(study, jobs_of(loaded, chosen, seeds, out / "runs", values))


def _write_values(out: Path, values: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(values), indent=1)
    (out / "run.json").write_bytes(text + b"\n")


def _pairable(runs: Sequence[Run], todo: Sequence[Job]) -> bool:
    """Whether all policies have a seed in common."""
    by_policy = {job.choice.name: set[int]() for job in todo}
    for run in runs:
        by_policy[run.policy].add(run.seed)
    return bool(set.intersection(*by_policy.values()))


def _print_table(study: Study, runs: Sequence[Run], report: Path, out: Path) -> None:
    screen = console()
    rows = compare_runs(runs)
    table = comparison_table(rows)
    table.columns[0].no_wrap = True
    screen.print(table)
    sentences = [headline(row) for row in rows if row.measure in MEASURES]
    for sentence in filter(
        None, (*sentences, *caveats(runs), *warning(study.parameters["policies"].items()))
    ):
        screen.print(f"- {sentence}", soft_wrap=True, highlight=False)
    for path in (report, *sorted((out / "plots").glob("*.png"))):
        screen.print(str(path), soft_wrap=True, highlight=False)


def _print_json(study: Study, runs: Sequence[Run], report: Path, complete: bool) -> None:
    shown = {
        "partial": not complete,
        "policies": list(dict.fromkeys(run.policy for run in runs)),
        "rows": compare_runs(runs),
        "resolved": study.parameters,
        "report": str(report),
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
