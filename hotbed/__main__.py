"""`hotbed`: the command line. A module a command; what they need is imported when they run."""

from importlib import import_module

import typer

from hotbed.asking.bounds import bounds
from hotbed.asking.diff import diff
from hotbed.asking.explain import explain
from hotbed.asking.export import export
from hotbed.asking.rerun import rerun
from hotbed.comparing.capacity import capacity
from hotbed.comparing.compare import compare
from hotbed.policies import policies
from hotbed.simulate import simulate

app = typer.Typer(
    help="A scheduler testbed for serverless LLM and LoRA serving.",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(simulate)
app.command()(compare)
app.command()(capacity)
app.command()(explain)
app.command()(rerun)
app.command()(diff)
app.command()(export)
app.command()(bounds)
app.command()(policies)

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def passed_on(context: typer.Context, module: str) -> None:
    """Hand a command's words to a Typer app of its own, which may import what is slow."""
    inner = typer.main.get_command(import_module(module).app)
    inner.main(args=context.args, prog_name=f"hotbed {context.info_name}")


@app.command(context_settings=PASSED_ON)
def traces(context: typer.Context) -> None:
    """List, describe, convert and synthesise request traces.

    Example: hotbed traces describe requests.csv
    """
    passed_on(context, "hotbed.tracing.traces")


@app.command(context_settings=PASSED_ON)
def bench(context: typer.Context) -> None:
    """Measure the simulator's speed and memory, beside other simulators.

    Example: hotbed bench sim --quick
    """
    passed_on(context, "hotbed.bench.command")


@app.command(context_settings=PASSED_ON)
def reproduce(context: typer.Context) -> None:
    """Run a paper's experiments again: our numbers beside the published ones.

    Example: hotbed reproduce osdi24 --seeds 3
    """
    passed_on(context, "hotbed.reproduce.command")


@app.command(context_settings=PASSED_ON)
def calibrate(context: typer.Context) -> None:
    """Fit a profile of this machine to measured loads.

    Example: hotbed calibrate loads loads.json --plot loads.png
    """
    passed_on(context, "hotbed.calibration.command")


@app.command(context_settings=PASSED_ON)
def models(context: typer.Context) -> None:
    """Import, convert, verify, list and remove checkpoints of this machine.

    Example: hotbed models import ~/models/Llama-3.1-8B --name meta/llama-3.1-8b
    """
    passed_on(context, "hotbed.models.command")


if __name__ == "__main__":
    app()
