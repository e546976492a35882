"""What this machine says of its memory: what is available, and which huge pages it gives.

Read from /proc and /sys, whose root is an argument. Knows no region.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """The settings a region depends on; None where the machine does not say.

    `shmem` and `anonymous` are the words chosen in transparent_hugepage/shmem_enabled and
    transparent_hugepage/enabled. `hugetlb_free` counts reserved 2 MiB pages that nobody has.
    """

    available_bytes: int | None
    hugetlb_free: int | None
    shmem: str | None
    anonymous: str | None


def read_settings(root: Path = Path("/")) -> MemorySettings:
    """The settings as they are at this moment. Never raises: what cannot be read is None."""
    huge = root / "sys/kernel/mm/transparent_hugepage"
    pool = root / "sys/kernel/mm/hugepages/hugepages-2048kB"
    return MemorySettings(
        available_bytes=_available_bytes(root),
        hugetlb_free=_number(pool / "free_hugepages"),
        shmem=_chosen(huge / "shmem_enabled"),
        anonymous=_chosen(huge / "enabled"),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    text = (_text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _chosen(path: Path) -> str | None:
    """The word in brackets of a line such as `always [madvise] never`."""
    for word in (_text(path) or "").split():
        if word.startswith("["):
            return word.strip("[]")
    return None


def _available_bytes(root: Path) -> int | None:
    """What a process may still take: the machine's, or the control group's where that is less."""
    found = [amount for amount in (_meminfo_bytes(root), _group_bytes(root)) if amount is not None]
    return min(found, default=None)


def _meminfo_bytes(root: Path) -> int | None:
    for line in (_text(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _group_bytes(root: Path) -> int | None:
    """What is left of the limit that a container sees as its own (control groups, version 2)."""
    group = root / "sys/fs/cgroup"
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None or used is None:
        return None
    return max(0, limit - used + _reclaimable_bytes(group))


def _reclaimable_bytes(group: Path) -> int:
    """The page cache that the group holds and the kernel would drop for us."""
    for line in (_text(group / "memory.stat") or "").splitlines():
        name, _, amount = line.partition(" ")
        if name == "inactive_file":
            return int(amount)
    return 0
