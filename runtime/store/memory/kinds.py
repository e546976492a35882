"""What pages a region is made of: which kinds there are, what the kernel gave, how to get better.

Knows addresses and the kernel's own account of them (smaps), not how regions are made.
"""

from enum import StrEnum
from pathlib import Path

from runtime.store.memory.machine import MemorySettings
from runtime.store.memory.pages import pages_for


class PageKind(StrEnum):
    """From the best to the plainest, for memory shared with other processes and for one's own."""

    HUGETLB = "hugetlb"
    SHARED_HUGE = "shmem-thp"
    SHARED = "shmem"
    PRIVATE_HUGE = "thp"
    PRIVATE = "4k"

    @property
    def shared(self) -> bool:
        """Whether another process can map the memory."""
        return self in (PageKind.HUGETLB, PageKind.SHARED_HUGE, PageKind.SHARED)

    @property
    def huge(self) -> bool:
        return self in (PageKind.HUGETLB, PageKind.SHARED_HUGE, PageKind.PRIVATE_HUGE)


_GIVES_HUGE = ("always", "advise", "madvise", "within_size", "force")
_HUGE_FIELDS = ("AnonHugePages", "ShmemPmdMapped", "Shared_Hugetlb", "Private_Hugetlb")


def huge_bytes_at(address: int, size_bytes: int, smaps: Path = Path("/proc/self/smaps")) -> int:
    """How much of a range the kernel says is mapped by huge pages. Raises OSError."""
    found = 0
    inside = False
    with smaps.open() as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if line[0].islower() or line[0].isdigit():  # "7f12...-7f13... rw-s ...": a new range
                start, end = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
                inside = start < address + size_bytes and end > address
            elif inside and name in _HUGE_FIELDS:
                found += int(rest.split()[0]) * 1024
    return min(found, size_bytes)


def kind_of(*, shared: bool, hugetlb: bool, huge_bytes: int, size_bytes: int) -> PageKind:
    """What to call a region: by what most of it is made of."""
    if hugetlb:
        return PageKind.HUGETLB
    huge = 2 * huge_bytes > size_bytes
    if shared:
        return PageKind.SHARED_HUGE if huge else PageKind.SHARED
    return PageKind.PRIVATE_HUGE if huge else PageKind.PRIVATE


def advice_for(
    kind: PageKind, *, huge_bytes: int, size_bytes: int, settings: MemorySettings
) -> str | None:
    """One line how this machine would give huge pages; None when all of the region has them."""
    if huge_bytes >= size_bytes:
        return None
    name, chosen, word = (
        ("shmem_enabled", settings.shmem, "advise")
        if kind.shared
        else ("enabled", settings.anonymous, "madvise")
    )
    if chosen in _GIVES_HUGE:
        return (
            f"{huge_bytes / size_bytes:.0%} of the region is on huge pages, memory is too "
            "scattered for the rest; start soon after boot, or as root: "
            "echo 1 > /proc/sys/vm/compact_memory"
        )
    advice = (
        f"the region is on 4 KiB pages, transparent_hugepage/{name} is {chosen or 'not there'}; "
        f"as root on the host: echo {word} > /sys/kernel/mm/transparent_hugepage/{name}"
    )
    if not kind.shared:
        return advice
    return f"{advice}, or to set memory aside: sysctl vm.nr_hugepages={pages_for(size_bytes)}"
