"""`hotbed calibrate`: words and exit codes; everything heavy is imported when it is needed."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors

if TYPE_CHECKING:
    from sim.profiles import Profile

app = typer.Typer(
    help="Fit the simulator to measurements.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def calibrate() -> None:
    """Fit the simulator to measurements."""


@app.command()
def loads(
    measurements: Annotated[
        Path, typer.Argument(metavar="MEASUREMENTS", help="The .json file of hotbed bench load.")
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Write the profile here, not to the data folder."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="A name or a .json file: what was not measured comes from it, marked as assumed. "
            "By default cpu, or h100 on a GPU.",
        ),
    ] = None,
    loader: Annotated[str, typer.Option(help="Whose loads.")] = "hotbed",
    device: Annotated[
        str | None, typer.Option(help="To which device; only needed where there are several.")
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Keep a checkpoint, or x3 for three loads at once, from the fit; repeatable. "
            "By default the second of every three sizes, and x3.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Predicted against measured.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Fit a profile to measured loads, and predict the loads that the fit did not see.

    A scenario uses it by its path: fleet: [{profile: /path/to/it.json}].
    Example: hotbed calibrate loads loads.json --base cpu --plot loads.png
    """
    from hotbed.calibration.places import default_path, write_profile
    from hotbed.calibration.tasks import Choices, fitted

    with one_line_errors("calibrate loads"):
        command = shlex.join(["hotbed", "calibrate", *sys.argv[2:]])
        chosen = Choices(base, loader, device, tuple(hold_out or ()), command)
        profile, machine = fitted(measurements, chosen)
        path = out or default_path(profile, machine.gpu or machine.cpu, machine.date)
        write_profile(profile, path)
        _plot(profile, plot)
    _say(profile, path, plot, as_json)


def _plot(profile: "Profile", plot: Path | None) -> None:
    if plot is None or profile.calibration is None:
        return
    from hotbed.calibration.plot import write_plot

    write_plot(profile.calibration, plot)


def _say(profile: "Profile", path: Path, plot: Path | None, as_json: bool) -> None:
    import msgspec

    from hotbed.calibration.tables import error_figures, fit_tables
    from hotbed.consoles import console

    record = profile.calibration
    assert record is not None, "a fitted profile has its record"
    if as_json:
        shown = {
            "profile": str(path),
            "plot": None if plot is None else str(plot),
            "errors": error_figures(record.cells),
            "links": msgspec.to_builtins(profile.links),
            "loads": msgspec.to_builtins(profile.loads),
            "attach": msgspec.to_builtins(profile.attach),
            "calibration": msgspec.to_builtins(record),
        }
        return typer.echo(json.dumps(shown, indent=2))
    screen = console()
    screen.print(fit_tables(profile))
    for written in filter(None, (path, plot)):
        screen.print(str(written), soft_wrap=True, highlight=False)
