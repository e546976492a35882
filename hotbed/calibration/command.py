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


MeasurementsArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="MEASUREMENTS",
        help="The .json file of hotbed bench load --out; without one it is measured first.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Write the profile here, not to the data folder."),
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        metavar="PROFILE",
        help="A name or a .json file: what was not measured comes from it, marked as assumed. "
        "By default cpu, or h100 on a GPU.",
    ),
]
LoaderOption = Annotated[str, typer.Option(help="Whose loads.")]
DeviceOption = Annotated[
    str | None, typer.Option(help="To which device; only needed where there are several.")
]
HoldOutOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Keep a checkpoint, or x3 for three loads at once, from the fit; repeatable. "
        "By default the second of every three sizes, and x3.",
    ),
]
PlotOption = Annotated[
    Path | None, typer.Option(metavar="FILE.png", help="Predicted against measured.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="To measure: where the files are made (13 GB for a while), on the disk to "
        "measure. The user's data folder.",
    ),
]
RoundsOption = Annotated[
    int | None, typer.Option(min=1, help="To measure: times that everything is; 5.")
]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command()
def loads(
    measurements: MeasurementsArgument = None,
    *,
    out: OutOption = None,
    base: BaseOption = None,
    loader: LoaderOption = "hotbed",
    device: DeviceOption = None,
    hold_out: HoldOutOption = None,
    plot: PlotOption = None,
    folder: FolderOption = None,
    rounds: RoundsOption = None,
    as_json: AsJsonOption = False,
) -> None:
    """Fit a profile to measured loads, and predict the loads that the fit did not see.

    A scenario uses it by its path: fleet: [{profile: /path/to/it.json}].

    Examples: hotbed calibrate loads loads.json --base cpu --plot loads.png
              hotbed calibrate loads --dir /mnt/nvme/bench
    """
    from hotbed.calibration.places import default_path, refuse_endings, write_profile
    from hotbed.calibration.tasks import Choices, fitted

    with one_line_errors("calibrate loads"):
        command = shlex.join(["hotbed", *sys.argv[1:]])
        chosen = Choices(base, loader, device, tuple(hold_out or ()), command)
        refuse_endings(out, plot)
        if measurements is not None and (folder, rounds) != (None, None):
            raise ValueError(f"--dir and --rounds are for measuring; {measurements} is measured")
        file = measurements or _measured(out, folder, rounds)
        profile, machine = fitted(file, chosen)
        path = out or default_path(profile, machine.gpu or machine.cpu, machine.date)
        _plot(profile, plot)
        write_profile(profile, path)
    _say(profile, path, plot, as_json)


def _measured(out: Path | None, folder: Path | None, rounds: int | None) -> Path:
    from hotbed.calibration.measuring import measure
    from hotbed.calibration.places import data_folder

    beside = data_folder() if out is None else out.parent
    written = measure(beside, folder or data_folder().parent / "bench", rounds)
    typer.echo(f"measurements: {written}", err=True)
    return written


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
