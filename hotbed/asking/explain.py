"""`hotbed explain`: why a request waited as it did: its journal replayed with the policy watched.

It knows words and exit codes; everything heavy is imported when it is needed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors, refuse

if TYPE_CHECKING:
    from traces.asked.explanation import Explanation
    from traces.record import RunRecord


def explain(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help=".jsonl, .gz or .zst.")],
    request: Annotated[
        list[int] | None, typer.Argument(metavar="REQUEST", help="Requests by number.")
    ] = None,
    *,
    slowest: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="The N with the longest time to the first token."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The slowest of this model; one, or --slowest N."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say why a request waited: what happened to it, why that node, and what each second went to.

    The journal is replayed through a fresh controller up to the last line about the request, with
    its policy watched, not changed: each candidate node with its estimates, what clearing it would
    have taken, which was chosen, and how the estimate compares with what came. What it waited for
    is in spans that add up to its time to the first token.

    Example: hotbed explain out/tour.jsonl.zst 871

    Example: hotbed explain out/tour.jsonl.zst --slowest 3

    Example: hotbed explain out/tour.jsonl.zst --model large-00 --json
    """
    import msgspec

    from hotbed.asking.explanation_table import tables
    from hotbed.consoles import console

    if bool(request) == (slowest is not None or model is not None):
        refuse("explain", "name requests by number, or ask for --slowest N or --model NAME")
    with one_line_errors("explain"):
        numbers = list(dict.fromkeys(request or ()))
        numbers = numbers or _slowest(journal, slowest or 1, model)
        found = explanations(journal, numbers)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    screen = console()
    for one in found:
        screen.print(tables(one))


def _slowest(journal: Path, most: int, model: str | None) -> list[int]:
    from traces.asked.story import slowest

    return slowest(_record(journal), most, model)


def _record(journal: Path) -> "RunRecord":
    from hotbed.asking.recorded import recorded
    from traces.collector import record_of

    with recorded(journal, "reading") as (header, entries):
        setup = header.setup
        pairs = ((entry.event, entry.commands) for entry in entries)
        return record_of(pairs, setup.nodes, (*setup.models, *setup.adapters))


def explanations(journal: Path, numbers: Sequence[int]) -> "list[Explanation]":
    """In the order of the numbers.

    Raises JournalError, PolicyError, UnknownRequestError, and DepartedError where the journal is
    not this version's.
    """
    from hotbed.asking.recorded import rebuilt, recorded
    from traces.asked.explanation import Explaining
    from traces.asked.story import stories_of

    with recorded(journal, "looking") as (_, entries):
        stories = stories_of(entries, numbers)
    with recorded(journal, "replaying") as (header, entries):
        ordered = {number: stories[number] for number in numbers}
        return Explaining(header.setup, rebuilt(header, journal), ordered).replay(entries)
