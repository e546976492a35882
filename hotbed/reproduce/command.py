"""`hotbed reproduce`: a paper's experiments again, theirs beside ours, and where we differ."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors
from hotbed.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from hotbed.reproduce.experiment import Data, Planned
    from hotbed.reproduce.findings import Outcomes

app = typer.Typer(
    help="Run a paper's experiments again and print our numbers beside the published ones.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def papers() -> None:
    """A paper a command, so that another one has a place to go."""


@app.command()
def osdi24(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each; 5 or more for intervals.")] = 10,
    rates: Annotated[
        str, typer.Option(metavar="A,B,...", help="Requests a second.")
    ] = "0.2,0.5,0.8,1.1,1.4",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Azure Functions 2019 minutes and GSM8K lengths; left out, $HOTBED_DATA.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Runs and results; finished runs are reused.")
    ] = Path("out/reproduce-osdi24"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; left out, one for each core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no tables.")] = False,
) -> None:
    """ServerlessLLM (Fu et al., OSDI 2024): its schedulers, its systems, its estimator.

    Without the data files, laws fitted to them stand in, and the output says so. Ctrl-C keeps what
    is done. Example: hotbed reproduce osdi24 --seeds 3 --rates 0.5,1.4
    """
    from hotbed.comparing.runners import runner
    from hotbed.comparing.watching import watched
    from hotbed.reproduce.experiment import data_in, planned

    with one_line_errors("reproduce"):
        found = data_in(data or _from_environment())
        plan = planned(found, _rates(rates), range(1, 1 + seeds), out)
        makes = runner(jobs, None)
    every = sorted((job for one in plan for job in one.jobs), key=lambda job: job.seed)
    complete = watched("reproduce", "osdi24", every, makes)
    _conclude(plan, found, out, as_json)
    if not complete:
        raise typer.Exit(INTERRUPTED)


def _from_environment() -> Path | None:
    folder = os.environ.get("HOTBED_DATA")
    return Path(folder) if folder else None


def _rates(text: str) -> list[float]:
    from hotbed.comparing.grid import loads_of

    try:
        return loads_of(text)
    except ValueError:
        raise ValueError(f"--rates {text!r}: expected requests a second, as 0.5,1.4") from None


def _outcomes(plan: "Sequence[Planned]") -> "Outcomes":
    from hotbed.reproduce.experiment import outcomes

    found: Outcomes = {}
    for one in plan:
        by_policy = found.setdefault(one.where, {})
        for chosen, seed, outcome in outcomes(one.jobs):
            by_policy.setdefault(chosen.name, {})[seed] = outcome
    return found


def _watched(plan: "Sequence[Planned]") -> "list[Planned]":
    """The runs in which the estimator is watched: GSM8K at the systems' rate, a size each."""
    from hotbed.reproduce.experiment import ARRIVALS, SYSTEMS_RPS

    wanted = ("gsm8k", SYSTEMS_RPS, ARRIVALS)
    return [p for p in plan if (p.where.data, p.where.rps, p.where.arrivals) == wanted]


def _conclude(plan: "Sequence[Planned]", data: "Data", out: Path, as_json: bool) -> None:
    import msgspec

    from hotbed.consoles import console
    from hotbed.reproduce import findings, tables
    from hotbed.reproduce.estimator import estimator_errors, pooled

    rows = findings.rows(_outcomes(plan))
    published = findings.beside(rows)
    errors = pooled([estimator_errors(one.loaded, findings.REFERENCE, 1) for one in _watched(plan)])
    words = [*data.words, *findings.order_agrees(rows)]
    result = {"rows": rows, "published": published, "estimator": errors, "notes": words}
    text = msgspec.json.format(msgspec.json.encode(result), indent=1).decode()
    out.mkdir(parents=True, exist_ok=True)
    (out / "osdi24.json").write_text(text + "\n")
    if as_json:
        typer.echo(text)
        return
    screen = console()
    for table in (
        tables.published_table(published),
        tables.scheduler_table(rows),
        tables.estimator_table(errors),
    ):
        screen.print(table)
        screen.print()
    for sentence in words:
        screen.print(f"- {sentence}", soft_wrap=True, highlight=False)
    screen.print(str(out / "osdi24.json"), soft_wrap=True, highlight=False)
