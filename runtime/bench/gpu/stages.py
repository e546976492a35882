"""Runs stages one after another inside a limit of time; what is done stays done.

A stage that fails says why in the record and the next one goes on: a lent machine is not asked
twice for what it has given.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.bench.gpu.record import Record, Result


@dataclass(frozen=True, slots=True)
class Stage:
    """One measurement. `need_s` is what it may take: with less left it is not begun."""

    name: str
    need_s: float
    run: Callable[[], Result]


def run_stages(
    stages: Sequence[Stage],
    record: Record,
    *,
    limit_s: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether every stage has a result in the end."""
    ends_at = clock() + limit_s
    for number, stage in enumerate(stages, 1):
        place = f"[{number}/{len(stages)}] {stage.name}"
        if record.done(stage.name):
            say(f"{place}: done before")
        elif ends_at - clock() < stage.need_s:
            left = f"{max(0.0, ends_at - clock()):.0f} s left, it may take {stage.need_s:.0f} s"
            record.put(stage.name, left_out=left)
            say(f"{place}: left out, {left}")
        else:
            _run(stage, record, clock)
            say(f"{place}: {_outcome(record.stages[stage.name])}")
    return all(record.done(stage.name) for stage in stages)


def _run(stage: Stage, record: Record, clock: Callable[[], float]) -> None:
    begun_at = clock()
    try:
        result = stage.run()
    except Exception as error:  # whatever it was, the other stages can still be measured
        record.put(stage.name, error=f"{type(error).__name__}: {error}"[:500])
    else:
        record.put(stage.name, result=result, seconds=round(clock() - begun_at, 3))


def _outcome(said: Result) -> str:
    if "error" in said:
        return f"failed, {said['error']}"
    return f"{said['seconds']} s"
