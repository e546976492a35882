"""`hotbed simulate`: one scenario, one policy, one seed.

It knows words and exit codes; everything heavy is imported when it is needed.
"""

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotbed.errors import one_line_errors
from hotbed.interrupts import INTERRUPTED, interruptible

if TYPE_CHECKING:
    from hotbed.binding import Bound
    from hotbed.journals import Write
    from hotbed.running import Finished
    from hotbed.scenarios import Choice

ScenarioArgument = Annotated[
    Path, typer.Argument(metavar="SCENARIO", help="The scenario's .yaml file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field, as slo.ttft=2s; repeatable."),
]
TraceOption = Annotated[
    Path | None, typer.Option("--trace", help="A trace instead of the scenario's workload.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def simulate(
    scenario: ScenarioArgument,
    *,
    policy: Annotated[
        str | None,
        typer.Option(help="A recipe, or a variant of the scenario, instead of its own policy."),
    ] = None,
    sets: SetOption = None,
    trace: TraceOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the scenario's.")] = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="Write every event and command: .jsonl, .jsonl.gz or .jsonl.zst."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report, plots and results here.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a scenario under one policy and print what came of it.

    Ctrl-C ends the run early: the journal is whole up to there, the summary is marked partial.
    Example: hotbed simulate examples/tour.yaml --policy static --journal out/tour.jsonl.zst
    """
    from hotbed.binding import bind
    from hotbed.comparing.study import resolved
    from hotbed.journals import writing
    from hotbed.scenarios import choice, load

    with ExitStack() as stack:
        with one_line_errors("simulate"):
            loaded = load(scenario, sets or (), trace)
            chosen = choice(loaded, policy)
            run_seed = loaded.scenario.seed if seed is None else seed
            bound = bind(loaded.scenario, loaded.folder, run_seed, chosen.residency)
            values = resolved(loaded, [chosen], [run_seed])
            for folder in filter(None, (journal and journal.parent, out)):
                folder.mkdir(parents=True, exist_ok=True)
            write = None if journal is None else stack.enter_context(writing(journal))
        finished = _run(chosen, bound, write, values)
    report = _report(finished, values, bound, out) if out is not None else None
    _say(finished, values, report, as_json)
    if finished.partial:
        raise typer.Exit(INTERRUPTED)


def _run(
    chosen: "Choice", bound: "Bound", write: "Write | None", values: dict[str, Any]
) -> "Finished":
    from hotbed.progress import bar
    from hotbed.running import run

    with interruptible() as interrupt, bar(chosen.name, len(bound.requests), "requests") as advance:

        def tick(arrived: int, now: float) -> None:
            interrupt.check()
            advance(arrived, f"at {now:,.0f} s")

        return run(bound, chosen.policy, tick, write, values)


def _report(finished: "Finished", values: dict[str, Any], bound: "Bound", out: Path) -> Path | None:
    """None where nothing arrived before the run was stopped."""
    from hotbed.comparing.study import study_of
    from traces.comparison import run_of
    from traces.report import write_report

    if not finished.summary.requests.arrived:
        return None
    study = study_of(values, bound.requests.meta, shlex.join(["hotbed", *sys.argv[1:]]))
    name = next(iter(values["policies"]))
    done = run_of(name, bound.setup.seed, finished.record, finished.summary, keep_record=True)
    return write_report(out, study, [done])


def _say(finished: "Finished", values: dict[str, Any], report: Path | None, as_json: bool) -> None:
    import msgspec

    from hotbed.consoles import console
    from hotbed.run_table import run_table

    name = next(iter(values["policies"]))
    if as_json:
        shown = {
            "partial": finished.partial,
            "policy": name,
            "events": finished.events,
            "summary": finished.summary,
            "resolved": values,
            "report": None if report is None else str(report),
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
        return
    title = f"{values['scenario']['name']}: {name}, seed {values['seeds'][0]}"
    if finished.partial:
        title += f" (partial: stopped at {finished.record.ended_at:,.0f} s)"
    screen = console()
    screen.print(run_table(title, finished.summary))
    if report is not None:
        screen.print(str(report), soft_wrap=True, highlight=False)
