"""What is measured of a run, and the care taken that a measurement is one.

Times are CPU seconds of the process. It knows neither fleets nor peers.
"""

import cProfile
import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from hotbed.garbage import collected_rarely

MIB = 2**20
KIB = 2**10


class Clock:
    """CPU seconds between entering and leaving `timed`."""

    def __init__(self) -> None:
        self.cpu_s = 0.0


@contextmanager
def timed(profile: cProfile.Profile | None = None) -> Iterator[Clock]:
    """Measures its body, with the collector as `hotbed simulate` has it."""
    clock = Clock()
    with collected_rarely():
        if profile is not None:
            profile.enable()
        started_s = time.process_time()
        try:
            yield clock
        finally:
            clock.cpu_s = time.process_time() - started_s
            if profile is not None:
                profile.disable()


class Rate(msgspec.Struct, frozen=True):
    """Requests per CPU-second over repetitions of the same run."""

    requests_per_cpu_s: float  # the median
    least: float
    most: float
    samples: tuple[float, ...]


def rate_of(samples: list[float]) -> Rate:
    rounded = tuple(round(sample, 1) for sample in samples)
    return Rate(round(median(samples), 1), min(rounded), max(rounded), rounded)


def peak_memory_mib() -> float:
    """The most memory this process ever held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / MIB, 1)


def memory_mib() -> float:
    """What this process holds; 0.0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / MIB


def machine() -> dict[str, Any]:
    """The machine, and how busy others keep it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def commit() -> str | None:
    """Of the working tree this runs from, "-dirty" where it was changed; None outside of one."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
