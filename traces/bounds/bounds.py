"""Bounds beside a run's results, from its journal: caches, start-ups, the number of loads, queues.

One pass over the journal. Knows no file and no table.
"""

from collections.abc import Iterable, Sequence

import msgspec

from fleet.commands import Command
from fleet.controller import Setup
from fleet.events import Event
from traces.bounds.accesses import AccessLog
from traces.bounds.cache_bounds import CacheGap, cache_gaps
from traces.bounds.fewest_loads import FewestLoads, fewest_loads
from traces.bounds.queueing import Queue, queues_of
from traces.bounds.startup_bounds import CopiesLog, StartUps, least_s_of_models, start_ups
from traces.collector import Recorder


class Bounds(msgspec.Struct, frozen=True):
    """What each part means, and its units, is said where it is defined."""

    requests: int
    caches: tuple[CacheGap, ...]
    start_ups: StartUps
    loads: FewestLoads
    queues: tuple[Queue, ...]


def bounds_of(setup: Setup, journal: Iterable[tuple[Event, Sequence[Command]]]) -> Bounds:
    """Of a whole run: `journal` begins where `setup` does."""
    recorder = Recorder(setup.nodes, (*setup.models, *setup.adapters))
    accesses, copies = AccessLog(setup), CopiesLog(setup)
    for event, commands in journal:
        recorder.observe(event, commands)
        accesses.observe(event, commands)
        copies.observe(event, commands)
    record = recorder.record()
    return Bounds(
        requests=len(record.requests),
        caches=cache_gaps(accesses.pools),
        start_ups=start_ups(copies, record),
        loads=fewest_loads(record, least_s_of_models(copies)),
        queues=queues_of(record),
    )
