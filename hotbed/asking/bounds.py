"""`hotbed bounds`: what a recorded run did beside what it could have done at best."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors

if TYPE_CHECKING:
    from traces.bounds.bounds import Bounds


def bounds(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help=".jsonl, .gz or .zst.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Set a run's cache misses, start-ups, loads and stays beside bounds and textbook queues.

    Example: hotbed simulate examples/tour.yaml --journal out/tour.jsonl.zst
    Example: hotbed bounds out/tour.jsonl.zst
    """
    import msgspec

    with one_line_errors("bounds"):
        found = bounds_in(journal)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    from hotbed.asking.bounds_table import bounds_table
    from hotbed.consoles import console

    console().print(bounds_table(str(journal), found))


def bounds_in(path: Path) -> "Bounds":
    """Of a whole journal. Raises JournalError."""
    from fleet.journal import decode
    from hotbed.journals import reading
    from traces.bounds.bounds import bounds_of

    with reading(path) as lines:
        header, entries = decode(lines, str(path))
        return bounds_of(header.setup, ((entry.event, entry.commands) for entry in entries))
