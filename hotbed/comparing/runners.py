"""Where runs are made: here, one after the other, or in processes of their own on this machine.

A runner is handed jobs that are not there yet. It knows processes, and nothing of what a run is.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.synchronize import Event as Flag

from hotbed.comparing.sweep import Job, Runner, perform
from hotbed.interrupts import Interrupt, Stopped

POLL_S = 0.2  # how often Ctrl-C is looked for


def runner(workers: int | None, ray_address: str | None) -> Runner:
    """On a Ray cluster where one is named, else with so many processes, by default a core each.

    Raises ValueError where Ray is asked for and cannot be had.
    """
    if ray_address is not None:
        from hotbed.comparing.ray_cluster import RayCluster

        return RayCluster.at(ray_address)
    return Processes(workers or len(os.sched_getaffinity(0)))


def in_turn(jobs: Sequence[Job], interrupt: Interrupt, done: Callable[[Job], None]) -> None:
    for job in jobs:
        if interrupt.asked or not perform(job, interrupt.check):
            return
        done(job)


@dataclass(frozen=True, slots=True)
class Processes:
    """So many runs at a time; a single one needs no process of its own."""

    workers: int

    def __call__(
        self, jobs: Sequence[Job], interrupt: Interrupt, done: Callable[[Job], None]
    ) -> None:
        workers = min(self.workers, len(jobs))
        if workers == 1:
            in_turn(jobs, interrupt, done)
        else:
            _in_processes(jobs, workers, interrupt, done)


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
