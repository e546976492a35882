"""Runs of small fleets, explained: every request of a run, by its number."""

from collections.abc import Iterable, Sequence
from typing import Any

from fleet.controller import Setup
from fleet.events import RequestArrived
from fleet.journal import Entry, decode
from policies.catalog import build
from sim.calendar import Arrival
from tests.journaled import journal
from tests.sim.worlds import Run, world
from traces.asked.explanation import Explaining, Explanation
from traces.asked.story import stories_of


def played(start: Setup, policy: str | dict[str, Any], arrivals: Iterable[Arrival]) -> list[Entry]:
    """A run's journal."""
    run = Run(start, policy, world()).play(arrivals)
    return [Entry(event, commands) for event, commands in run.said]  # type: ignore[arg-type]


def explained(
    start: Setup, policy: str | dict[str, Any], entries: Sequence[Entry]
) -> dict[int, Explanation]:
    ids = [e.event.request.id for e in entries if isinstance(e.event, RequestArrived)]
    stories = stories_of(entries, ids)
    found = Explaining(start, build(policy), stories).replay(entries)
    return {one.request: one for one in found}


def journaled(seed: int) -> tuple[Setup, dict[str, Any], list[Entry]]:
    """A run with faults, migrations, sleepers and adapters."""
    header, entries = decode(journal(seed))
    return header.setup, header.policy, list(entries)
