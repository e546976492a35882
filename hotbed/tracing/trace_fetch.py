"""`hotbed traces fetch`: public traces from their publishers, for machines with internet.

It knows words, files and exit codes. Addresses are known in `trace_sources`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

from hotbed.errors import one_line_errors
from hotbed.tracing.checksums import LOCK, Locked, read_lock, write_lock
from hotbed.tracing.downloads import Progress, Wanted, download, sha256_of
from hotbed.tracing.trace_sources import FOLDERS, SOURCES, Source, source_named
from traces.schema import TraceError

INTERRUPTED = 130


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME|URL", help="A trace of --list, or any URL.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where it goes.")] = Path(),
    *,
    list_sources: Annotated[
        bool, typer.Option("--list", help="Show what there is to fetch.")
    ] = False,
    sha256: Annotated[
        str | None, typer.Option(help="What the file's checksum must be (of a URL).")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch it although a file of that name is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch a public trace from its publisher, over the proxies of the environment.

    A fetch that broke off goes on where it was. A checksum that is not known beforehand is written
    into traces.lock.json in DIR, and the next fetch of that file must give the same.
    Example: hotbed traces fetch azure-llm-2023-conv --out data/
    """
    if list_sources or name is None:
        return _show(as_json)
    try:
        with one_line_errors("traces"):
            source = _source(name, sha256)
            locked, came = _fetched(source, out, force=force)
    except KeyboardInterrupt:
        typer.echo("stopped; what has come is kept, and the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _say(source, out / source.file, locked, came=came, as_json=as_json)


def _source(name: str, sha256: str | None) -> Source:
    if "://" not in name:
        if sha256 is not None:
            raise TraceError(
                "--sha256 belongs to a URL: the checksums of names are known or locked"
            )
        return source_named(name)
    if Path(urlsplit(name).path).name in ("", ".", ".."):
        raise TraceError(f"URL {name!r} is not allowed: expected one that ends with a file's name")
    url = urlsplit(name)._replace(query="", fragment="").geturl()
    return Source(name, url, "", "unknown", None, sha256=sha256)


def _fetched(source: Source, folder: Path, *, force: bool) -> tuple[Locked, bool]:
    """What lies in the folder afterwards, and whether it came just now."""
    locks = read_lock(folder)
    before = locks.get(source.file)
    if before is not None and before.url != source.url:
        raise TraceError(
            f"{folder / source.file} came from {before.url}: expected another --out for "
            f"{source.url}"
        )
    known = source.sha256 or (before.sha256 if before is not None else None)
    target = folder / source.file
    if target.exists() and not force:
        return _there(source, target, known), False
    size = source.size_bytes or (before.size_bytes if before is not None else None)
    with _progress(source.file) as progress:
        found = download(Wanted(_address(source), size, known), target, progress)
    locked = Locked(source.url, found, target.stat().st_size)
    write_lock(folder, locks | {source.file: locked})
    return locked, True


def _address(source: Source) -> str:
    """A URL as it was typed: what a lock keeps of it has no query, which may hold a secret."""
    return source.name if "://" in source.name else source.url


def _there(source: Source, target: Path, known: str | None) -> Locked:
    found = sha256_of(target)
    if known is not None and found != known:
        raise TraceError(
            f"{target}: SHA-256 {found} is not that of the file: expected {known}; "
            "--force fetches it again"
        )
    if known is None:
        raise TraceError(f"{target}: is there already, and nobody knows its checksum: "
                         "expected --force, or another --out")  # fmt: skip
    return Locked(source.url, found, target.stat().st_size)


@contextmanager
def _progress(title: str) -> Iterator[Progress]:
    """Without a terminal nothing is printed."""
    if not sys.stderr.isatty():
        yield lambda have, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)
        yield lambda have, total: shown.update(task, completed=have, total=total)


def _show(as_json: bool) -> None:
    if as_json:
        rows = [{name: getattr(source, name) for name in Source.__slots__} for source in SOURCES]
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("MB", justify="right")
    table.add_column("checksum")
    table.add_column("licence")
    for source in SOURCES:
        size = "?" if source.size_bytes is None else f"{source.size_bytes / 1e6:,.1f}"
        known = "known" if source.sha256 else "first fetch"
        table.add_row(source.name, source.what, size, known, source.licence)
    console = Console()
    console.print(table)
    console.print(f"A checksum of the first fetch is kept in {LOCK}, and checked from then on.")
    for what, where in FOLDERS:
        console.print(f"{what} are a folder of a repository: {where}", highlight=False)


def _say(source: Source, target: Path, locked: Locked, *, came: bool, as_json: bool) -> None:
    if as_json:
        facts = {"file": str(target), "fetched": came, **msgspec.structs.asdict(locked)}
        typer.echo(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())
        return
    console = Console(soft_wrap=True, highlight=False)
    verb = "fetched" if came else "is there already, and is the same"
    console.print(escape(f"{target} {verb}: {locked.size_bytes:,} bytes, SHA-256 {locked.sha256}"))
    if source.sha256 is None:
        console.print(f"its publisher names no checksum: this one is kept in {LOCK}")
    if source.read_as is not None:
        console.print(escape(f"next: hotbed traces describe {target}"))
    elif source.what:
        console.print(escape(source.what))
