"""Runs made on a Ray cluster: each is a task, and what it made comes back and is kept here.

Workers need hotbed installed and the trace files at the same paths; no folder is shared. Ray is an
optional extra, imported when it is asked for.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hotbed.comparing.sweep import Job, RunnerError, SeedError, code_digest, perform
from hotbed.interrupts import Interrupt
from hotbed.workloads import DATA_VARIABLE

POLL_S = 0.2  # how often Ctrl-C is looked for
REACH_S = 5.0  # how long a cluster may take to answer at all


class RayError(RunnerError):
    """Ray is not installed, its cluster is not there, or a worker runs other code."""


@dataclass(frozen=True, slots=True)
class Made:
    """A run's files as they are to be kept, or why there is none."""

    result: bytes = b""
    journal: bytes = b""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """`address` as Ray's: HOST:PORT, "auto" for the cluster of this machine, "local" for a new one
    of this command's own."""

    address: str

    @classmethod
    def at(cls, address: str) -> "RayCluster":
        """Raises RayError where Ray is not installed."""
        _ray()
        return cls(address)

    def __call__(
        self, jobs: Sequence[Job], interrupt: Interrupt, done: Callable[[Job], None]
    ) -> None:
        """Raises RayError and SeedError."""
        ray = _ray()
        with _connected(ray, self.address):
            task = ray.remote(_made)
            pending = {task.remote(job, code_digest()): job for job in jobs}
            try:
                while pending and not interrupt.asked:
                    over, _ = ray.wait(list(pending), num_returns=1, timeout=POLL_S)
                    for reference in over:
                        job = pending.pop(reference)
                        _keep(job, ray.get(reference))
                        done(job)
            finally:
                for reference in pending:
                    ray.cancel(reference, force=True)


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError:
        raise RayError("--ray: Ray is not installed here; pip install 'ray==2.60.0'") from None


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """A cluster that was started here ends here; another's goes on."""
    _reach(address)
    data = os.environ.get(DATA_VARIABLE)
    environment = {"env_vars": {DATA_VARIABLE: data}} if data else {}
    try:
        ray.init(
            address=address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level="error",
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RayError(f"--ray {address}: no cluster answers there: {reason}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Ray itself would try for minutes. Raises RayError."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), REACH_S).close()
    except (OSError, OverflowError) as error:
        raise RayError(f"--ray {address}: no cluster answers there: {error}") from None


def _made(job: Job, code: str) -> Made:
    """On a worker."""
    if code != code_digest():
        return Made(refused="a Ray worker runs another version of hotbed than this command")
    with TemporaryDirectory() as folder:
        here = replace(job, folder=Path(folder))
        try:
            perform(here, lambda: None)
        except SeedError as error:
            return Made(refused=str(error))
        journal = here.journal.read_bytes() if job.with_journal else b""
        return Made(here.result.read_bytes(), journal)


def _keep(job: Job, made: Made) -> None:
    """The result last: where it lies, all of the run does."""
    if made.refused:
        raise SeedError(made.refused)
    job.result.parent.mkdir(parents=True, exist_ok=True)
    files = [(job.journal, made.journal)] if job.with_journal else []
    for path, content in [*files, (job.result, made.result)]:
        part = path.with_name(f"part-{path.name}")
        part.write_bytes(content)
        part.replace(path)
