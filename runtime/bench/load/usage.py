"""CPU time of this process and of everybody else: a load is judged by both.

Linux only, from getrusage(2) and /proc/stat.
"""

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

STAT: Final = Path("/proc/stat")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Used:
    """Over a stretch of time: wall seconds, CPU seconds of this process with its threads and the
    children it has waited for, and cores that others used (None where /proc/stat is not there).
    """

    seconds: float
    cpu_s: float
    foreign_cores: float | None


def timed(work: Callable[[], T]) -> tuple[T, Used]:
    """What the work gave, and what it took. The clocks are read next to the work itself."""
    others, cpu = _busy_s(), _own_s()
    begin = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    own = _own_s() - cpu
    busy = _busy_s()
    foreign = None
    if others is not None and busy is not None and seconds > 0:
        foreign = max(0.0, (busy - others - own) / seconds)
    return result, Used(seconds, own, foreign)


def _own_s() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _busy_s() -> float | None:
    """CPU seconds of the whole machine: user, nice, system, irq and softirq of its first line."""
    try:
        with STAT.open(encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:8]]
    except (OSError, ValueError):
        return None
    user, nice, system, _, _, irq, softirq = ticks
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
