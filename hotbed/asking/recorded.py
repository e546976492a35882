"""A journal as every command reads it: its header and entries, with a progress bar.

It knows files and terminals; what an entry means is for others to say.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.domain import Request
from fleet.events import RequestArrived
from fleet.journal import Entry, Header, decode
from fleet.policy import Policy
from hotbed.journals import reading
from hotbed.oracles import told_the_future
from hotbed.progress import Advance, bar
from policies import catalog

ENTRIES_A_TICK = 2048


@contextmanager
def recorded(path: Path, doing: str) -> Iterator[tuple[Header, Iterator[Entry]]]:
    """The header, and the entries as they are read. Raises JournalError, at a bad line too."""
    total = lines_of(path) - 1 if sys.stderr.isatty() else 0
    with reading(path) as lines, bar(doing, total, "events") as advance:
        header, entries = decode(lines, str(path))
        yield header, _told(entries, advance)


def header_of(path: Path) -> Header:
    """The first line alone. Raises JournalError."""
    with reading(path) as lines:
        return decode(lines, str(path))[0]


def lines_of(path: Path) -> int:
    """How many lines there are: what a bar needs before the work begins."""
    with reading(path) as lines:
        return sum(1 for _ in lines)


def rebuilt(header: Header, path: Path) -> Policy:
    """The recorded policy, ready to be asked again. Raises PolicyError where it is not known."""
    policy = catalog.build(header.policy)

    def requests() -> list[Request]:
        with recorded(path, "reading the future") as (_, entries):
            events = (entry.event for entry in entries)
            return [event.request for event in events if isinstance(event, RequestArrived)]

    told_the_future(policy, requests)
    return policy


def _told(entries: Iterable[Entry], advance: Advance) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        if not number % ENTRIES_A_TICK:
            advance(number, f"at {entry.event.at:,.0f} s")
        yield entry
