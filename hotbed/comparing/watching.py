"""A sweep as a person at a terminal sees it: a bar over all runs, Ctrl-C, errors in one line."""

from collections.abc import Sequence

from hotbed.comparing.sweep import Job, Runner, RunnerError, sweep
from hotbed.errors import refuse
from hotbed.interrupts import interruptible
from hotbed.progress import bar


def watched(command: str, title: str, todo: Sequence[Job], runner: Runner) -> bool:
    """Whether every run is there; not so after Ctrl-C."""
    finished = 0
    with interruptible() as interrupt, bar(title, len(todo), "runs") as advance:

        def done(job: Job) -> None:
            nonlocal finished
            finished += 1
            advance(finished, job.name)

        try:
            sweep(todo, runner, interrupt, done)
        except RunnerError as error:
            refuse(command, str(error))
    return finished == len(todo)
