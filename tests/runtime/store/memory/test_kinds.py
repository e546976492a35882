"""Page kinds: what the kernel's account says, and the way to better ones."""

from pathlib import Path

import pytest

from runtime.store.memory.kinds import PageKind, advice_for, huge_bytes_at, kind_of
from runtime.store.memory.machine import MemorySettings

MIB = 1 << 20
SMAPS = """\
10000000-10800000 rw-s 00000000 00:01 7  /memfd:hotbed-pool (deleted)
Size:               8192 kB
ShmemPmdMapped:     4096 kB
AnonHugePages:         0 kB
VmFlags: rd wr sh
10800000-10a00000 ---p 00000000 00:00 0
AnonHugePages:      2048 kB
20000000-20400000 rw-p 00000000 00:00 0
AnonHugePages:      2048 kB
20400000-20800000 rw-s 00000000 00:01 9  /anon_hugepage (deleted)
Shared_Hugetlb:     2048 kB
Private_Hugetlb:    2048 kB
"""


@pytest.mark.parametrize(
    ("address", "size_mib", "huge_mib"),
    [
        (0x10000000, 8, 4),
        (0x20000000, 4, 2),
        (0x20400000, 4, 4),
        (0x20000000, 8, 6),
        (0x5000, 2, 0),
    ],
)
def test_huge_pages_are_counted_in_the_ranges_asked_for(
    tmp_path: Path, address: int, size_mib: int, huge_mib: int
) -> None:
    smaps = tmp_path / "smaps"
    smaps.write_text(SMAPS)
    assert huge_bytes_at(address, size_mib * MIB, smaps) == huge_mib * MIB


@pytest.mark.parametrize(
    ("shared", "hugetlb", "huge_mib", "kind"),
    [
        (True, True, 8, PageKind.HUGETLB),
        (True, False, 8, PageKind.SHARED_HUGE),
        (True, False, 6, PageKind.SHARED_HUGE),
        (True, False, 4, PageKind.SHARED),
        (True, False, 0, PageKind.SHARED),
        (False, False, 8, PageKind.PRIVATE_HUGE),
        (False, False, 2, PageKind.PRIVATE),
    ],
)
def test_a_region_is_called_by_what_most_of_it_is_made_of(
    shared: bool, hugetlb: bool, huge_mib: int, kind: PageKind
) -> None:
    found = kind_of(shared=shared, hugetlb=hugetlb, huge_bytes=huge_mib * MIB, size_bytes=8 * MIB)
    assert found is kind


@pytest.mark.parametrize("kind", PageKind)
def test_a_region_on_huge_pages_needs_no_advice(kind: PageKind) -> None:
    assert advised(kind, 8, MemorySettings(None, None, "never", "never")) is None


def test_the_advice_names_the_setting_its_value_and_the_command() -> None:
    shared = advised(PageKind.SHARED, 0, MemorySettings(None, 0, "never", "madvise"))
    assert shared == (
        "the region is on 4 KiB pages, transparent_hugepage/shmem_enabled is never; as root on the "
        "host: echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled, or to set memory "
        "aside: sysctl vm.nr_hugepages=4"
    )
    private = advised(PageKind.PRIVATE, 0, MemorySettings(None, 0, "never", None))
    assert private == (
        "the region is on 4 KiB pages, transparent_hugepage/enabled is not there; as root on the "
        "host: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
    )


def test_where_the_setting_is_right_scattered_memory_is_to_blame() -> None:
    for kind, huge_mib in ((PageKind.SHARED_HUGE, 6), (PageKind.PRIVATE, 2)):
        advice = advised(kind, huge_mib, MemorySettings(None, 0, "advise", "madvise"))
        assert advice is not None
        assert advice.startswith(f"{huge_mib / 8:.0%} of the region is on huge pages")
        assert "compact_memory" in advice


def advised(kind: PageKind, huge_mib: int, settings: MemorySettings) -> str | None:
    return advice_for(kind, huge_bytes=huge_mib * MIB, size_bytes=8 * MIB, settings=settings)
