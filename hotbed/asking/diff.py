"""`hotbed diff`: what tells two journals apart, from their headers to their requests."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors

if TYPE_CHECKING:
    from hotbed.asking.diff_table import JournalDifference
    from traces.asked.journal_difference import Parting

DIFFERENT = 1


def diff(
    left: Annotated[Path, typer.Argument(metavar="JOURNAL", help=".jsonl, .gz or .zst.")],
    right: Annotated[Path, typer.Argument(metavar="JOURNAL", help="What it is compared with.")],
    *,
    movers: Annotated[
        int, typer.Option(min=0, help="How many of the requests that moved most are named.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say where two journals part: header fields, the first line, counts, and their requests.

    Exit code 0 where they are the same to the byte, 1 where they differ, as diff has it.

    Example: hotbed diff out/ours.jsonl.zst out/theirs.jsonl.zst

    Example: hotbed diff before.jsonl after.jsonl --movers 30 --json
    """
    import msgspec

    from hotbed.asking.diff_table import tables
    from hotbed.consoles import console

    with one_line_errors("diff"):
        found = difference_of(left, right, movers)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        console().print(tables(found))
    if not found.same:
        raise typer.Exit(DIFFERENT)


def difference_of(left: Path, right: Path, movers: int) -> "JournalDifference":
    """Reads each journal twice where they differ. Raises JournalError."""
    from hotbed.asking.diff_table import JournalDifference
    from hotbed.asking.recorded import header_of, recorded
    from traces.asked.journal_difference import Counted, header_differences, paired, tallies

    headers = header_of(left), header_of(right)
    fields = header_differences(*headers)
    parts = _parting(left, right)
    names = (str(left), str(right))
    if not fields and parts is None:
        return JournalDifference(names, True)
    counted = Counted(headers[0]), Counted(headers[1])
    records = []
    for path, one in zip((left, right), counted, strict=True):
        with recorded(path, f"reading {path.name}") as (_, entries):
            records.append(one.read(entries))
    return JournalDifference(
        names,
        False,
        fields,
        parts,
        tallies(counted[0].events, counted[1].events),
        tallies(counted[0].commands, counted[1].commands),
        paired(records[0], records[1], movers),
    )


def _parting(left: Path, right: Path) -> "Parting | None":
    """The first line after the headers that differs."""
    import msgspec

    from fleet.journal import first_difference
    from hotbed.journals import reading
    from traces.asked.journal_difference import parting

    with reading(left) as ours, reading(right) as theirs:
        found = first_difference(islice(ours, 1, None), islice(theirs, 1, None))
    if found is None:
        return None
    return parting(msgspec.structs.replace(found, line=found.line + 1))
