"""`hotbed bench load`: how fast checkpoints load, by every loader, beside what the machine can do.

It knows words, files and exit codes; what is measured, and in which processes, is
`runtime.bench.load`'s.
"""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from hotbed.errors import one_line_errors
from hotbed.progress import bar

if TYPE_CHECKING:
    from runtime.bench.load.checkpoints import Checkpoint
    from runtime.bench.load.study import StudyAsked
    from runtime.bench.measurements import Measurements

SIZES: Final = ("1g", "2.4g", "4g")
RANKS: Final = (8, 16, 64)
ROUNDS: Final = 3
QUICK_SIZES: Final = ("64m",)
QUICK_RANKS: Final = (16,)


SizeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="SIZE", help="Base model: 5m, 64m, 1g, 2.4g, 4g; repeatable."),
]
RankOption = Annotated[
    list[int] | None,
    typer.Option(metavar="RANK", help="Adapter of this rank for Llama 3.1 8B; repeatable."),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="LOADER", help="A loader; repeatable. An unknown name lists all."),
]
RoundsOption = Annotated[
    int | None, typer.Option(min=1, help=f"Times that everything is measured; {ROUNDS}.")
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="One small model, one adapter, one round: 3 minutes.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="Where the files are made: on the disk to measure. The user's data folder.",
    ),
]
KeepOption = Annotated[
    bool, typer.Option("--keep", help="Leave the files there for the next time.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of weights and of the order in a round.")]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
OutOption = Annotated[
    Path | None, typer.Option(help="Write every measurement: what hotbed calibrate reads.")
]
PlotOption = Annotated[Path | None, typer.Option(help="Draw the rates: .png, .svg or .pdf.")]
AgainOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Measure nothing: show a file of --out."),
]


def load(
    *,
    size: SizeOption = None,
    rank: RankOption = None,
    only: OnlyOption = None,
    rounds: RoundsOption = None,
    quick: QuickOption = False,
    folder: FolderOption = None,
    keep: KeepOption = False,
    seed: SeedOption = 0,
    as_json: AsJsonOption = False,
    out: OutOption = None,
    plot: PlotOption = None,
    again: AgainOption = None,
) -> None:
    """Time loads cold, warm and from the pool: this store's and other loaders', interleaved.

    Each in a process of its own, every result compared bit for bit with what was written.
    Neither --size nor --rank: all usual ones (an hour); with one of them, those alone.
    The other loaders: requirements-live.lock.

    Examples: hotbed bench load --quick --plot loads.png
              hotbed bench load --size 2.4g --only hotbed --only runai --rounds 3 --out loads.json
    """
    from runtime.bench.load.figures import figures
    from runtime.bench.load.study import StudyAsked
    from runtime.bench.measurements import read, write

    with one_line_errors("bench load"):
        _refuse_unwritable(out, plot)
        if again is not None:
            measured = read(again)
        else:
            measured = _measure(
                StudyAsked(
                    folder=folder or _default_folder(),
                    checkpoints=_checkpoints(size, rank, quick=quick),
                    rounds=rounds or (1 if quick else ROUNDS),
                    seed=seed,
                    only=tuple(only or ()),
                    keep=keep,
                )
            )
        if out is not None:
            write(measured, out)
        found = figures(measured)
        if plot is not None:
            from hotbed.bench.load_plot import draw

            draw(measured, plot)
    _say(found, measured, as_json)


def _say(found: Mapping[str, Any], measured: "Measurements", as_json: bool) -> None:
    """Exit code 1 where a loader gave other bytes than were written."""
    from hotbed.bench.load_table import tables
    from runtime.bench.load.figures import wrong_loaders
    from runtime.bench.load.study import INTERRUPTED

    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        Console().print(tables(found))
    if INTERRUPTED in measured.missing:
        raise typer.Exit(128 + signal.SIGINT)
    if wrong := wrong_loaders(measured):
        typer.echo(f"hotbed bench load: wrong bytes from {', '.join(wrong)}", err=True)
        raise typer.Exit(1)


def _measure(asked: "StudyAsked") -> "Measurements":
    from runtime.bench.load.study import Study

    study = Study(asked)
    with bar("Loading", study.total, "measurements") as advance:
        return study.run(advance)


def _checkpoints(
    size: list[str] | None, rank: list[int] | None, *, quick: bool
) -> "tuple[Checkpoint, ...]":
    """Base models from small to large, then adapters. Raises StoreError for what there is not."""
    from runtime.bench.load.checkpoints import adapter, base

    if size is None and rank is None:
        size = list(QUICK_SIZES if quick else SIZES)
        rank = list(QUICK_RANKS if quick else RANKS)
    found = [base(one) for one in dict.fromkeys(size or ())]
    found += [adapter(one) for one in dict.fromkeys(rank or ())]
    return tuple(found)


def _default_folder() -> Path:
    """$XDG_DATA_HOME/hotbed/bench, by default in ~/.local/share."""
    from hotbed.calibration.places import data_folder

    return data_folder().parent / "bench"


def _refuse_unwritable(*paths: Path | None) -> None:
    """Before an hour of measuring, not after it."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}")
