"""`hotbed compare`: policies over paired seeds, and which differences are real.

It knows words and exit codes; everything heavy is imported when it is needed.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotbed.errors import one_line_errors, refuse
from hotbed.interrupts import INTERRUPTED, interruptible
from hotbed.simulate import JsonOption, ScenarioArgument, SetOption, TraceOption

if TYPE_CHECKING:
    from hotbed.scenarios import Loaded
    from hotbed.sweep import Job
    from traces.comparison import Run
    from traces.report import Study


def compare(
    scenario: ScenarioArgument,
    *,
    policies: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Recipes, or variants of the scenario; left out, its own policy and variants.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs a policy; 5 or more for intervals.")] = 10,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The first seed, instead of the scenario's.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Runs, report and plots; finished runs are reused.")
    ] = Path("out"),
    sets: SetOption = None,
    trace: TraceOption = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; left out, one for each core.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run policies over the same seeds; print 95 % intervals and write a report with plots.

    A seed gives every policy the same requests and the same faults. Ctrl-C keeps what is done, and
    the same command goes on from there.
    Example: hotbed compare examples/tour.yaml --policies serverlessllm,static --seeds 10 --out out
    """
    from hotbed.scenarios import load

    with one_line_errors("compare"):
        loaded = load(scenario, sets or (), trace)
        first = loaded.scenario.seed if seed is None else seed
        study, todo = _prepared(loaded, policies, range(first, first + seeds), out)
    complete = _sweep(todo, jobs or _cores())
    _conclude(todo, study, out, as_json, complete)


def _prepared(
    loaded: "Loaded", policies: str | None, seeds: Sequence[int], out: Path
) -> tuple["Study", list["Job"]]:
    """What is to be run, written to run.json.

    What is wrong with the scenario is said here once, not by every process. Raises what `bind`
    and `choices` do.
    """
    from hotbed.binding import bind
    from hotbed.scenarios import choices
    from hotbed.study import resolved, study_of
    from hotbed.sweep import jobs_of

    chosen = choices(loaded, policies)
    values = resolved(loaded, chosen, seeds)
    bound = [bind(loaded.scenario, loaded.folder, seeds[0], one.residency) for one in chosen]
    _write_values(out, values)
    study = study_of(values, bound[0].requests.meta, shlex.join(["hotbed", *sys.argv[1:]]))
    return study, jobs_of(loaded, chosen, seeds, out / "runs", values)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _write_values(out: Path, values: dict[str, Any]) -> None:
    import msgspec

    out.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(values), indent=1)
    (out / "run.json").write_bytes(text + b"\n")


def _sweep(todo: Sequence["Job"], workers: int) -> bool:
    """Whether every run is there; not so after Ctrl-C."""
    from hotbed.progress import bar
    from hotbed.sweep import SeedError, sweep

    finished = 0
    with interruptible() as interrupt, bar("comparing", len(todo), "runs") as advance:

        def done(job: "Job") -> None:
            nonlocal finished
            finished += 1
            advance(finished, f"{job.choice.name}, seed {job.seed}")

        try:
            sweep(todo, workers, interrupt, done)
        except SeedError as error:
            refuse("compare", str(error))
    return finished == len(todo)


def _conclude(
    todo: Sequence["Job"], study: "Study", out: Path, as_json: bool, complete: bool
) -> None:
    from hotbed.sweep import runs_of
    from traces.report import write_report

    runs = list(runs_of(todo))
    if not complete:
        typer.echo(f"stopped: {len(runs)} of {len(todo)} runs are done and kept", err=True)
        if not _pairable(runs, todo):
            raise typer.Exit(INTERRUPTED)
    report = write_report(out, study, runs)
    if as_json:
        _print_json(study, runs, report, complete)
    else:
        _print_table(runs, report, out)
    if not complete:
        raise typer.Exit(INTERRUPTED)


def _pairable(runs: Sequence["Run"], todo: Sequence["Job"]) -> bool:
    """Whether all policies have a seed in common."""
    by_policy = {job.choice.name: set[int]() for job in todo}
    for run in runs:
        by_policy[run.policy].add(run.seed)
    return bool(set.intersection(*by_policy.values()))


def _print_table(runs: Sequence["Run"], report: Path, out: Path) -> None:
    from hotbed.consoles import console
    from traces.comparison import MEASURES, compare_runs
    from traces.findings import caveats, headline
    from traces.tables import comparison_table

    screen = console()
    rows = compare_runs(runs)
    table = comparison_table(rows)
    table.columns[0].no_wrap = True
    screen.print(table)
    sentences = [headline(row) for row in rows if row.measure in MEASURES]
    for sentence in filter(None, (*sentences, *caveats(runs))):
        screen.print(f"- {sentence}", soft_wrap=True, highlight=False)
    for path in (report, *sorted((out / "plots").glob("*.png"))):
        screen.print(str(path), soft_wrap=True, highlight=False)


def _print_json(study: "Study", runs: Sequence["Run"], report: Path, complete: bool) -> None:
    import msgspec

    from traces.comparison import compare_runs

    shown = {
        "partial": not complete,
        "policies": list(dict.fromkeys(run.policy for run in runs)),
        "rows": compare_runs(runs),
        "resolved": study.parameters,
        "report": str(report),
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
