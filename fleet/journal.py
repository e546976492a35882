"""The record of a run: a header, then a line for each event with the commands it caused.

The journal is what metrics, plots, replay and comparison read. A line is JSON; the same run writes
the same bytes. This module knows lines, not files: whoever owns the file feeds and takes them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fleet.commands import AnyCommand, Command
from fleet.controller import Controller, Setup
from fleet.events import AnyEvent, Event

VERSION = 1


class Header(msgspec.Struct, frozen=True):
    """What a run was: enough to build the same controller again, and to name things in reports.

    `policy` is the policy as the scenario spells it, with every parameter resolved; `world` is what
    only the driver knows (profiles, trace, fault rates), for people and for running it again.
    """

    setup: Setup
    policy: dict[str, Any]
    tenants: tuple[str, ...] = ()
    world: dict[str, Any] = {}
    version: int = VERSION


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event and the commands that answered it."""

    event: AnyEvent
    commands: tuple[AnyCommand, ...]


class JournalError(ValueError):
    """A line is not what it should be; says which."""


_encoder = msgspec.json.Encoder()
_entry = msgspec.json.Decoder(Entry)
_header = msgspec.json.Decoder(Header)


def encode_header(header: Header) -> bytes:
    return _encoder.encode(header) + b"\n"


def encode(event: Event, commands: Sequence[Command]) -> bytes:
    return _encoder.encode((event, commands)) + b"\n"


def decode(lines: Iterable[bytes], name: str = "journal") -> tuple[Header, Iterator[Entry]]:
    """The header, and the entries as they are read. Raises `JournalError` at a bad line."""
    numbered = enumerate(lines, 1)
    try:
        header = _header.decode(next(numbered)[1])
    except StopIteration:
        raise JournalError(f"{name} is empty; its first line must be a header") from None
    except msgspec.DecodeError as error:
        raise JournalError(f"{name} line 1 is no journal header: {error}") from None
    if header.version != VERSION:
        raise JournalError(f"{name} has version {header.version}; this reads {VERSION}")
    return header, _entries(numbered, name)


def _entries(numbered: Iterator[tuple[int, bytes]], name: str) -> Iterator[Entry]:
    for number, line in numbered:
        try:
            yield _entry.decode(line)
        except msgspec.DecodeError as error:
            raise JournalError(f"{name} line {number} is no journal entry: {error}") from None


class Difference(msgspec.Struct, frozen=True):
    """Where two runs part: the line (the header is line 1), and what stands there in each."""

    line: int
    left: str
    right: str

    def __str__(self) -> str:
        return f"line {self.line}:\n- {self.left}\n+ {self.right}"


def first_difference(left: Iterable[bytes], right: Iterable[bytes]) -> Difference | None:
    """The first line in which two journals differ; None if they are the same to the byte."""
    end = b"(no such line)"
    a, b = iter(left), iter(right)
    line = 0
    while True:
        line += 1
        x, y = next(a, end), next(b, end)
        if x != y:
            return Difference(line, x.decode().rstrip("\n"), y.decode().rstrip("\n"))
        if x is end:
            return None


def replay(entries: Iterable[Entry], controller: Controller) -> Difference | None:
    """Feed recorded events to a fresh controller; where its commands first differ, or None."""
    for line, entry in enumerate(entries, 2):
        commands = controller.handle(entry.event)
        if tuple(commands) != entry.commands:
            recorded = _encoder.encode(entry.commands).decode()
            return Difference(line, recorded, _encoder.encode(commands).decode())
    return None
