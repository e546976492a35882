"""Every policy under every seed, in processes of their own; what is finished is kept on disk.

A run that is there already, with the same inputs and the same code, is not made again. It knows
processes and files; what the runs say together is `traces.comparison`.
"""

import hashlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Any

import msgspec

from fleet.journal import decode
from hotbed.binding import bind
from hotbed.interrupts import Interrupt, Stopped
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

POLL_S = 0.2  # how often Ctrl-C is looked for


class SeedError(ValueError):
    """A seed with which the scenario cannot be run: a recipe may draw no request at all."""


@dataclass(frozen=True, slots=True)
class Job:
    """One policy under one seed. With `with_journal` its journal is kept too, for a timeline."""

    loaded: Loaded
    choice: Choice
    seed: int
    folder: Path
    with_journal: bool
    fingerprint: str

    @property
    def result(self) -> Path:
        return self.folder / self.choice.name / f"seed-{self.seed}.json"

    @property
    def journal(self) -> Path:
        return self.result.with_suffix(".jsonl.zst")


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
    common = {key: values["scenario"][key] for key in sorted(values["scenario"])}
    for own in ("policy", "variants", "seed", "description"):
        del common[own]
    fixed = msgspec.json.encode([common, values["files_sha256"], code_digest()])
    return [
        Job(loaded, choice, seed, folder, seed == seeds[0], _fingerprint(fixed, choice, seed))
        for seed in seeds
        for choice in choices
    ]


def _fingerprint(fixed: bytes, choice: Choice, seed: int) -> str:
    residency = None if choice.residency is None else choice.residency.model_dump(mode="json")
    own = msgspec.json.encode([choice.resolved, residency, seed])
    return hashlib.sha256(fixed + own).hexdigest()


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
    try:
        found = msgspec.json.decode(job.result.read_bytes(), type=Stored)
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
    jobs: Sequence[Job], workers: int, interrupt: Interrupt, done: Callable[[Job], None]
) -> None:
    """Make every run that is not there. Returns early once `interrupt` is asked.

    Raises SeedError; what was finished by then is kept.
    """
    missing = []
    for job in jobs:
        if stored(job) is None:
            missing.append(job)
        else:
            done(job)
    if workers > 1 and len(missing) > 1:
        _in_processes(missing, min(workers, len(missing)), interrupt, done)
        return
    for job in missing:
        if interrupt.asked or not perform(job, interrupt.check):
            return
        done(job)


def _in_processes(
    jobs: Sequence[Job], workers: int, interrupt: Interrupt, done: Callable[[Job], None]
) -> None:
    # Spawned, not forked: a fork would copy threads and locks of whoever calls this.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _begin, (stop,)) as pool:
        pending = {pool.submit(_perform, job): job for job in jobs}
        try:
            while pending and not interrupt.asked:
                over, _ = wait(pending, POLL_S, FIRST_COMPLETED)
                for future in over:
                    job = pending.pop(future)
                    if future.result():
                        done(job)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    for future, job in pending.items():
        if not future.cancelled() and future.result():
            done(job)


_stop: Flag | None = None


def _begin(stop: Flag) -> None:
    """In each process: Ctrl-C is the parent's to notice, which then sets the flag."""
    global _stop  # noqa: PLW0603 - how a pool's initializer reaches its tasks
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _perform(job: Job) -> bool:
    return perform(job, _check)


def _check() -> None:
    assert _stop is not None, "the pool's initializer has run"
    if _stop.is_set():
        raise Stopped


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
