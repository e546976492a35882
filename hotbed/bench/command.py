"""`hotbed bench`: how fast the simulator is beside others, and how fast checkpoints load.

It knows words and exit codes; everything heavy runs in processes of its own.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hotbed.bench.load import load
from hotbed.errors import one_line_errors

app = typer.Typer(
    help="Measure speed and memory.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def bench() -> None:
    """Measure speed and memory."""


@app.command()
def sim(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes and one round: under two minutes.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A part to run; repeatable. An unknown name lists all."),
    ] = None,
    trace_dir: Annotated[
        Path | None,
        typer.Option(help="Where moon_10000.jsonl is; else $HOTBED_DATA, else made from the seed."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    profile: Annotated[
        bool, typer.Option("--profile", help="Say where the CPU time goes, by module.")
    ] = False,
) -> None:
    """Time the simulator, and its peers where they are installed, per CPU-second.

    Peers: pip install -r requirements-bench.lock. The whole takes some minutes.
    Example: hotbed bench sim --quick --only workload_w --json
    """
    from hotbed.bench.parts import PartError
    from hotbed.bench.study import FULL, QUICK, Asked, names, study
    from hotbed.bench.table import tables

    with one_line_errors("bench sim"):
        asked = Asked(
            only=names(only),
            sizes=QUICK if quick else FULL,
            seed=seed,
            trace_dir=trace_dir,
            profile=profile,
        )
        try:
            results = study(asked, _tell)
        except PartError as error:
            typer.echo(f"hotbed bench sim: {error}", err=True)
            raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    else:
        Console().print(tables(results))


def _tell(what: str, done: int, parts: int) -> None:
    """A line on standard error that a terminal overwrites."""
    if not sys.stderr.isatty():
        if what:
            print(f"[{done + 1}/{parts}] {what}", file=sys.stderr, flush=True)
        return
    line = f"[{done + 1}/{parts}] {what}" if what else ""
    print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


@app.command()
def policies(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="QUESTION.NAME", help="A policy, or a question; repeatable."),
    ] = None,
    gpus: Annotated[int, typer.Option(min=8, help="Cards in the fleet.")] = 1000,
    requests: Annotated[int, typer.Option(min=1, help="Requests in each run.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Time every policy's decisions in a fleet at work, one policy a process.

    Each answers its question in ServerlessLLM's place; recipes come last.
    Example: hotbed bench policies --only routing --only placement.hydraserve
    """
    from hotbed.bench.parts import PartError, measure
    from hotbed.bench.policies import label, specs
    from hotbed.bench.table import decision_table

    with one_line_errors("bench policies"):
        chosen = [spec for spec in specs() if _asked_for(label(spec), only)]
        if not chosen:
            raise ValueError(f"--only {only}: no such policy; see hotbed policies")
    size = {"span_s": 60.0, "gpus": gpus, "models": max(1, gpus // 5), "seed": seed}
    rows = []
    for number, spec in enumerate(chosen):
        _tell(label(spec), number, len(chosen))
        try:
            rows.append(measure("policy", {"spec": spec, "requests": requests, **size}))
        except PartError as error:
            typer.echo(f"hotbed bench policies: {label(spec)}: {error}", err=True)
            raise typer.Exit(1) from None
    _tell("", len(chosen), len(chosen))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        Console().print(decision_table(rows))


app.command()(load)


def _asked_for(name: str, only: list[str] | None) -> bool:
    return only is None or any(name == one or name.partition(".")[0] == one for one in only)
