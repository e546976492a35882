"""The difference of two journals as tables for the terminal.

It knows what was found and how to show it, not how it was found.
"""

from collections.abc import Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from traces.asked.journal_difference import FieldDifference, Mover, Paired, Parting, Tally
from traces.numerals import number

FIELDS_SHOWN = 20
LINE_SHOWN = 400  # characters of a differing line
VALUE_SHOWN = 60
NOTHING = "-"
WHAT = {
    "event": "another event",
    "commands": "other commands after the same {event}",
    "end": "one of them ends",
}


class JournalDifference(msgspec.Struct, frozen=True):
    """Everything that `hotbed diff` says. `pairs` is None where the requests are not the same."""

    journals: tuple[str, str]
    same: bool
    header: Sequence[FieldDifference] = ()
    parting: Parting | None = None
    events: Sequence[Tally] = ()
    commands: Sequence[Tally] = ()
    pairs: Paired | None = None


def tables(found: JournalDifference) -> Group:
    """What differs, from headers to requests; one line where nothing does."""
    if found.same:
        return Group(Text("the same, byte for byte"))
    left, right = found.journals
    shown: list[RenderableType] = [Text(f"- {left}\n+ {right}", style="bold")]
    shown.append(_fields(found.header) if found.header else Text("the headers are the same"))
    if found.parting is None:
        shown.append(Text("every event and command is the same"))
    else:
        shown += [_parting(found.parting), _tallies(found)]
        shown.append(_paired(found.pairs))
    return Group(*(part for one in shown for part in (one, Text(""))))


def _fields(fields: Sequence[FieldDifference]) -> Table:
    more = len(fields) - FIELDS_SHOWN
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for heading in ("header field", "-", "+"):
        table.add_column(heading, overflow="fold")
    for field in fields[:FIELDS_SHOWN]:
        table.add_row(field.path, _short(field.left, VALUE_SHOWN), _short(field.right, VALUE_SHOWN))
    if more > 0:
        table.add_row(f"... and {more:,} more: --json has them all", "", "")
    return table


def _parting(parting: Parting) -> Text:
    at = "" if parting.at is None else f" at {number(parting.at)} s"
    what = WHAT[parting.what].format(event=parting.event)
    head = f"first difference in line {parting.line:,}{at}: {what}\n"
    left, right = _short(parting.left, LINE_SHOWN), _short(parting.right, LINE_SHOWN)
    return Text.assemble((head, "bold"), f"- {left}\n+ {right}")


def _tallies(found: JournalDifference) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("events and commands")
    for heading in ("-", "+", "change"):
        table.add_column(heading, justify="right")
    for heading, counts in (("event", found.events), ("command", found.commands)):
        for one in counts:
            change = f"{one.right - one.left:+,}" if one.right != one.left else NOTHING
            table.add_row(f"{heading} {one.kind}", f"{one.left:,}", f"{one.right:,}", change)
    return table


def _paired(pairs: Paired | None) -> RenderableType:
    if pairs is None:
        return Text("the requests are not the same: their outcomes cannot be paired")
    mean = NOTHING if pairs.mean_change_s is None else f"{number(pairs.mean_change_s)} s"
    words = (
        f"the same {pairs.requests:,} requests; to the first token + is sooner for "
        f"{pairs.better:,}, later for {pairs.worse:,}, the same for {pairs.same:,}; mean change "
        f"{mean}. Finished only on + {pairs.gained:,}, only on - {pairs.lost:,}, on neither "
        f"{pairs.neither:,}."
    )
    return Group(Text(words), Text(""), _movers(pairs.movers)) if pairs.movers else Text(words)


def _movers(movers: Sequence[Mover]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("moved most", "model"):
        table.add_column(heading)
    for heading in ("TTFT - (s)", "TTFT + (s)", "change (s)"):
        table.add_column(heading, justify="right")
    for one in movers:
        before, after = one.left_ttft_s or 0.0, one.right_ttft_s or 0.0
        cells = (number(before), number(after), f"{'+' if after > before else ''}"
                 f"{number(after - before)}")  # fmt: skip
        table.add_row(f"request {one.request}", one.model, *cells)
    return table


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
