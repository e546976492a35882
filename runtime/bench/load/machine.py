"""Says in a few words what machine this is. Facts of Linux; anything unknown says so."""

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

from runtime.bench.measurements import Machine

UNKNOWN: Final = "unknown"
HUGE_PAGES: Final = Path("/sys/kernel/mm/transparent_hugepage")
ROOT: Final = Path(__file__).parents[3]


def machine(folder: Path, huge_share: float | None = None) -> Machine:
    """`folder` lies on the disk that is measured; `huge_share` of the ceilings' memory is huge."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        disk=_disk(folder),
        huge_pages=_huge_pages(huge_share),
        gpu=_gpu(),
        python=platform.python_version(),
        torch=_torch(),
        commit=_commit(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _cpu() -> str:
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine() or UNKNOWN


def _disk(folder: Path) -> str:
    """File system and device of the mount that holds the folder, the longest that fits."""
    place, best = folder.resolve(), ("", UNKNOWN)
    for line in _text(Path("/proc/mounts")).splitlines():
        device, mount, kind = line.split()[:3]
        if place.is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, f"{kind} on {device}")
    return best[1]


def _huge_pages(huge_share: float | None) -> str:
    found = {name: _text(HUGE_PAGES / name) for name in ("enabled", "shmem_enabled")}
    chosen = {name: text.partition("[")[2].partition("]")[0] for name, text in found.items()}
    words = [f"{name} {value or UNKNOWN}" for name, value in chosen.items()]
    if huge_share is not None:
        words.append(f"{huge_share:.0%} of the ceilings' memory")
    return ", ".join(words)


def _gpu() -> str | None:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    names = _output(command).splitlines()
    return ", ".join(names) or None


def _torch() -> str | None:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    return _output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]).strip() or None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
