"""`hotbed rerun`: a journal's events through a fresh controller, its commands compared."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors

if TYPE_CHECKING:
    from fleet.journal import Difference, Entry

DIFFERENT = 1


def rerun(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help=".jsonl, .gz or .zst.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a line.")] = False,
) -> None:
    """Replay a journal and say whether the controller gives the same commands again.

    Exit code 1 where it does not, with the first line that differs.
    Example: hotbed rerun out/tour.jsonl.zst
    """
    import msgspec

    with one_line_errors("rerun"):
        events, difference = replayed(journal)
    if as_json:
        found = {"same": difference is None, "events": events, "difference": difference}
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif difference is None:
        typer.echo(f"same commands, {events:,} events")
    else:
        typer.echo(f"the commands differ (- recorded, + given again) at {difference}")
    if difference is not None:
        raise typer.Exit(DIFFERENT)


def replayed(path: Path) -> "tuple[int, Difference | None]":
    """How many events were replayed, and where the commands first differ.

    Raises JournalError, and PolicyError where the header's policy is not known here.
    """
    from fleet.controller import Controller
    from fleet.journal import decode, replay
    from hotbed.journals import reading
    from policies.catalog import build

    events = 0

    def counted(entries: "Iterable[Entry]") -> "Iterator[Entry]":
        nonlocal events
        for entry in entries:
            events += 1
            yield entry

    with reading(path) as lines:
        header, entries = decode(lines, str(path))
        difference = replay(counted(entries), Controller(header.setup, build(header.policy)))
    return events, difference
