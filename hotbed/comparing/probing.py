"""The probes of `hotbed capacity`: rounds of runs, each policy at the load that it needs next.

It knows jobs and their numbers; which load comes next is `traces.grids.capacity`'s.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from hotbed.binding import bind
from hotbed.comparing.grid import at_load
from hotbed.comparing.load import drawn_rate_rps, in_words
from hotbed.comparing.study import resolved
from hotbed.comparing.sweep import Job, Runner, jobs_of_cell, numbers
from hotbed.comparing.watching import watched
from hotbed.scenarios import Choice, Loaded
from traces.grids import capacity_table
from traces.grids.capacity import Capacity, Probe, Search, capacity_of, next_load
from traces.grids.grid import reason_of
from traces.summary import value_of
from traces.workload import US_PER_S, Workload

MOST_NEEDED = 100  # requests of a run, whatever the target
ASPECTS = {
    "objective.ttft_attainment": ("TTFT <= {ttft:g} s",),
    "objective.tpot_attainment": ("TPOT <= {tpot:g} s",),
    "objective.attainment": ("TTFT <= {ttft:g} s", "TPOT <= {tpot:g} s"),
}


@dataclass
class Probing:
    """`path` is the attainment of a summary that is looked at."""

    loaded: Loaded
    choices: Sequence[Choice]
    seeds: Sequence[int]
    search: Search
    path: str
    probes: dict[str, list[Probe]] = field(default_factory=dict)
    rate_rps: float | None = None

    def check(self) -> None:
        """Learns the workload's own rate and size. Raises what `bind` does."""
        drawn_rps = drawn_rate_rps(self.loaded.scenario.workload)
        for one in self.choices:
            bound = bind(self.loaded.scenario, self.loaded.folder, self.seeds[0], one.residency)
            self.rate_rps = drawn_rps or _rate_rps(bound.requests)
            if drawn_rps is not None:
                self.search = _resolvable(self.search, len(bound.requests))

    @property
    def objective(self) -> str:
        slo = self.loaded.scenario.slo
        return " and ".join(
            part.format(ttft=slo.ttft, tpot=slo.tpot) for part in ASPECTS[self.path]
        )

    def run(self, runner: Runner, folder: Path) -> bool:
        """Whether every policy's search came to its end; not so after Ctrl-C."""
        number = 0
        while wanted := self._wanted():
            number += 1
            jobs = [self._jobs(choice, load, folder) for choice, load in wanted]
            todo = [job for own in jobs for job in own]
            if not watched("capacity", f"round {number}", todo, runner):
                return False
            for (choice, load), own in zip(wanted, jobs, strict=True):
                self.probes.setdefault(choice.name, []).append(self._probe(load, own))
        return True

    def _wanted(self) -> list[tuple[Choice, float]]:
        loads = [
            (one, next_load(self.probes.get(one.name, ()), self.search)) for one in self.choices
        ]
        return [(one, load) for one, load in loads if load is not None]

    def _jobs(self, choice: Choice, load: float, folder: Path) -> list[Job]:
        cell = at_load(self.loaded, load)
        values = resolved(cell.loaded, [choice], self.seeds)
        return jobs_of_cell(cell, [choice], self.seeds, folder, values)

    def _probe(self, load: float, jobs: Sequence[Job]) -> Probe:
        summaries = [found.summary for job in jobs if (found := numbers(job)) is not None]
        saturated = [own.saturation for own in summaries if own.saturation.saturated]
        return Probe(
            load=load,
            attainment=tuple(value_of(own, self.path) or 0.0 for own in summaries),
            saturated=len(saturated),
            in_words=reason_of(saturated[0].in_words) if saturated else "",
        )

    def capacities(self) -> dict[str, Capacity]:
        found = {
            name: capacity_of(own, self.search, self.rate_rps) for name, own in self.probes.items()
        }
        return {name: found[name] for name in capacity_table.ordered(found)}

    def in_words(self, found: Mapping[str, Capacity]) -> list[str]:
        how = in_words(self.loaded.scenario.workload)
        return [*capacity_table.in_words(found, len(self.seeds)), f"Load: {how}."]

    def data(self, found: Mapping[str, Capacity]) -> dict[str, Any]:
        """Everything that was resolved, and what came of it."""
        return {
            "command": shlex.join(["hotbed", *sys.argv[1:]]),
            "objective": self.objective,
            "attainment": self.path,
            "search": self.search,
            "policies": found,
            "resolved": resolved(self.loaded, self.choices, self.seeds),
        }


def _resolvable(search: Search, requests: int) -> Search:
    """Not down to loads at which so few are drawn that one miss is more than the target allows.

    `requests` are those at load 1.
    """
    needed = min(MOST_NEEDED, 1 / max(1 - search.target, 1 / MOST_NEEDED))
    least = min(search.first, max(search.least, needed / requests))
    return msgspec.structs.replace(search, least=least)


def _rate_rps(requests: Workload) -> float | None:
    """Gaps between arrivals over their span; None of requests that all come at once."""
    arrived_us = requests.frame["arrival_us"].to_numpy()
    span_us = float(arrived_us.max() - arrived_us.min())
    return (len(requests) - 1) / (span_us / US_PER_S) if span_us else None
