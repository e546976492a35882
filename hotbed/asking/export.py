"""`hotbed export`: a journal as a file that timeline viewers open.

It knows files, words and exit codes; everything heavy is imported when it is needed.
"""

import gzip
import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

from hotbed.errors import one_line_errors, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

ENDINGS = (".json", ".json.gz")
GZIP_LEVEL = 5
BUFFER_BYTES = 1 << 18


def export(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help=".jsonl, .gz or .zst.")],
    *,
    to: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write: .json, or packed as .json.gz.")
    ],
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Begin here, as 90, 2m or 1.5h."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="End here.")] = None,
) -> None:
    """Write a run as a Chrome trace, which ui.perfetto.dev and chrome://tracing open.

    A process a node, with a track for each card (loading, ready, sleeping, stopping) and for the
    loads from each tier; requests with what they waited for, arrows to their instances, live
    migrations; faults; counters. A request takes about a kilobyte: cut long runs with --from and
    --until. The file is written as the journal is read, so its length costs no memory.

    Example: hotbed export out/tour.jsonl.zst --to out/tour.json.gz

    Example: hotbed export out/tour.jsonl.zst --to burst.json --from 10m --until 12m
    """
    from hotbed.asking.recorded import recorded
    from traces.asked.chrome_trace import ChromeTrace
    from traces.asked.exported_run import ExportedRun

    if not to.name.endswith(ENDINGS):
        refuse("export", f"--to is {str(to)!r}; its name must end in {' or '.join(ENDINGS)}")
    with one_line_errors("export"):
        window = _window(since, until)
        to.parent.mkdir(parents=True, exist_ok=True)
        with recorded(journal, "exporting") as (header, entries), _written(to) as write:
            trace = ChromeTrace(write, *window)
            ended_at = ExportedRun(trace, header).read(entries)
            trace.close()
            if ended_at < window[0]:
                refuse("export", f"--from {since}: the journal ends at {ended_at:,.3f} s")
    typer.echo(f"{to}: {trace.events:,} trace events, {to.stat().st_size / 1e6:,.1f} MB")


def _window(since: str | None, until: str | None) -> tuple[float, float]:
    """Seconds. Raises ValueError, naming the option."""
    begin = 0.0 if since is None else _seconds("--from", since)
    end = math.inf if until is None else _seconds("--until", until)
    if end <= begin:
        raise ValueError(f"--until {until}: it must be after --from, which is {begin:g} s")
    return begin, end


def _seconds(option: str, text: str) -> float:
    from fleet.quantities import duration_s

    try:
        return float(text) if text.replace(".", "", 1).isdigit() else duration_s(text)
    except ValueError as error:
        raise ValueError(f"{option} {text}: {error}") from None


@contextmanager
def _written(path: Path) -> "Iterator[Callable[[bytes], object]]":
    """A file that appears once it is whole. The same journal makes the same bytes."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            if path.suffix == ".gz":
                packed = gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0)
                with io.BufferedWriter(cast(io.RawIOBase, packed), BUFFER_BYTES) as buffered:
                    yield buffered.write
            else:
                yield cast(BinaryIO, file).write
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
