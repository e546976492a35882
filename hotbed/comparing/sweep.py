"""Every policy under every seed; what is finished is kept on disk.

A run that is there already, with the same inputs and the same code, is not made again. It knows
files; where runs are made is a `Runner`'s, what they say together is `traces.comparison`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from fleet.journal import decode
from hotbed.binding import bind
from hotbed.comparing.grid import Cell
from hotbed.interrupts import Interrupt
from hotbed.journals import reading, writing
from hotbed.running import run
from hotbed.scenarios import Choice, Loaded
from traces.collector import record_of
from traces.comparison import Run
from traces.curves import Curves, curves_of
from traces.record import RunRecord
from traces.summary import Summary

#: What a run's outcome depends on besides its scenario.
CODE = ("fleet", "policies", "sim", "traces", "hotbed")


class RunnerError(ValueError):
    """A sweep that cannot go on; what it has made by then is kept."""


class SeedError(RunnerError):
    """A seed with which the scenario cannot be run: a recipe may draw no request at all."""


@dataclass(frozen=True, slots=True)
class Job:
    """One policy under one seed. With `with_journal` its journal is kept too, for a timeline.

    `cell` names the scenario for people where there are several.
    """

    loaded: Loaded
    choice: Choice
    seed: int
    folder: Path
    with_journal: bool
    fingerprint: str
    cell: str = ""

    @property
    def name(self) -> str:
        run = f"{self.choice.name}, seed {self.seed}"
        return f"{self.cell}: {run}" if self.cell else run

    @property
    def result(self) -> Path:
        return self.folder / self.choice.name / f"seed-{self.seed}.json"

    @property
    def journal(self) -> Path:
        return self.result.with_suffix(".jsonl.zst")


class Runner(Protocol):
    """Makes runs and keeps them, in any order; `done` is told of each that is kept.

    Returns early once `interrupt` is asked. May raise RunnerError.
    """

    def __call__(
        self, jobs: Sequence[Job], interrupt: Interrupt, done: Callable[[Job], None], /
    ) -> None: ...


class Numbers(msgspec.Struct, frozen=True):
    """What a table needs of a finished run: all but its curves."""

    fingerprint: str
    summary: Summary


class Stored(msgspec.Struct, frozen=True):
    """A finished run on disk: its numbers, and the points that plots need."""

    fingerprint: str
    summary: Summary
    curves: Curves


def jobs_of(
    loaded: Loaded,
    choices: Sequence[Choice],
    seeds: Sequence[int],
    folder: Path,
    values: Mapping[str, Any],
) -> list[Job]:
    """Seed by seed, so that what an early stop leaves can be paired. `values` are resolved ones."""
    fixed = _fixed(values)
    return [
        Job(loaded, choice, seed, folder, seed == seeds[0], _fingerprint(fixed, choice, seed))
        for seed in seeds
        for choice in choices
    ]


def jobs_of_cell(
    cell: Cell,
    choices: Sequence[Choice],
    seeds: Sequence[int],
    folder: Path,
    values: Mapping[str, Any],
) -> list[Job]:
    """Those of one cell of a grid, seed by seed, without journals. `folder` is all runs'."""
    jobs = jobs_of(cell.loaded, choices, seeds, folder / cell.folder, values)
    return [replace(job, with_journal=False, cell=cell.name) for job in jobs]


def _fixed(values: Mapping[str, Any]) -> bytes:
    """What all runs of a scenario depend on, whatever their policy and seed."""
    common = {key: values["scenario"][key] for key in sorted(values["scenario"])}
    for own in ("policy", "variants", "seed", "description"):
        del common[own]
    return msgspec.json.encode([common, values["files_sha256"], code_digest()])


def _fingerprint(fixed: bytes, choice: Choice, seed: int) -> str:
    residency = None if choice.residency is None else choice.residency.model_dump(mode="json")
    own = msgspec.json.encode([choice.resolved, residency, seed])
    return hashlib.sha256(fixed + own).hexdigest()


@cache
def code_digest() -> str:
    """Of every source and profile that decides how a run goes."""
    digest = hashlib.sha256()
    for package in CODE:
        spec = find_spec(package)
        assert spec is not None, f"{package} is installed"
        assert spec.submodule_search_locations, f"{package} is a package"
        root = Path(spec.submodule_search_locations[0])
        for path in sorted(root.rglob("*")):
            if path.suffix in (".py", ".json"):
                digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def stored(job: Job) -> Stored | None:
    """The finished run, or None where there is none with these inputs."""
    return _decoded(job, Stored)


def numbers(job: Job) -> Numbers | None:
    """The same without its curves."""
    return _decoded(job, Numbers)


def is_stored(job: Job) -> bool:
    return _decoded(job, _Fingerprint) is not None


class _Fingerprint(msgspec.Struct, frozen=True):
    fingerprint: str


Kept = TypeVar("Kept", Stored, Numbers, _Fingerprint)


def _decoded(job: Job, kind: type[Kept]) -> Kept | None:
    try:
        found = msgspec.json.decode(job.result.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
    complete = found.fingerprint == job.fingerprint
    return found if complete and (job.journal.exists() or not job.with_journal) else None


def perform(job: Job, check: Callable[[], None]) -> bool:
    """Make the run and keep it; False where `check` raised `Stopped`, and nothing is kept.

    Raises SeedError.
    """
    loaded, chosen = job.loaded, job.choice
    try:
        bound = bind(loaded.scenario, loaded.folder, job.seed, chosen.residency)
    except ValueError as error:
        raise SeedError(f"seed {job.seed}: {error}") from None
    job.result.parent.mkdir(parents=True, exist_ok=True)
    part = job.journal.with_name(f"part-{job.journal.name}")
    with ExitStack() as stack:
        write = stack.enter_context(writing(part)) if job.with_journal else None
        finished = run(bound, chosen.policy, lambda arrived, now: check(), write)
    if finished.partial:
        part.unlink(missing_ok=True)
        return False
    if job.with_journal:
        part.replace(job.journal)
    kept = Stored(job.fingerprint, finished.summary, curves_of(finished.record))
    written = job.result.with_name(f"part-{job.result.name}")
    written.write_bytes(msgspec.json.encode(kept))
    written.replace(job.result)
    return True


def sweep(
    jobs: Sequence[Job], runner: Runner, interrupt: Interrupt, done: Callable[[Job], None]
) -> None:
    """Make every run that is not there. Returns early once `interrupt` is asked.

    Raises RunnerError; what was finished by then is kept.
    """
    missing = []
    for job in jobs:
        if is_stored(job):
            done(job)
        else:
            missing.append(job)
    if missing:
        runner(missing, interrupt, done)


def runs_of(jobs: Sequence[Job]) -> Iterator[Run]:
    """The finished ones among them, with the record of those that kept a journal."""
    for job in jobs:
        found = stored(job)
        if found is not None:
            record = _record(job) if job.with_journal else None
            yield Run(job.choice.name, job.seed, found.summary, found.curves, record)


def _record(job: Job) -> RunRecord:
    with reading(job.journal) as lines:
        header, entries = decode(lines, str(job.journal))
        setup = header.setup
        pairs = ((entry.event, entry.commands) for entry in entries)
        return record_of(pairs, setup.nodes, (*setup.models, *setup.adapters))
