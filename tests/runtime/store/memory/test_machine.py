"""What the machine says of its memory, from files that may say anything."""

from pathlib import Path

import pytest

from runtime.store.memory.machine import MemorySettings, read_settings

HUGE = "sys/kernel/mm/transparent_hugepage"


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_machine_says_how_much_memory_is_available() -> None:
    available = read_settings().available_bytes
    assert available is not None
    assert available > 0


def test_a_machine_that_says_nothing_leaves_all_open(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == MemorySettings(None, None, None, None)


def test_the_chosen_words_and_the_free_pages_are_read(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            f"{HUGE}/shmem_enabled": "always within_size advise [never] deny force\n",
            f"{HUGE}/enabled": "always [madvise] never\n",
            "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "12\n",
            "proc/meminfo": "MemTotal:  9 kB\nMemAvailable:    1000 kB\n",
        },
    )
    assert read_settings(root) == MemorySettings(1_024_000, 12, "never", "madvise")


@pytest.mark.parametrize(
    ("limit", "available_bytes"),
    [("600000", 600_000 - 100_000 + 40_000), ("max", 1_024_000), ("9000000", 1_024_000)],
)
def test_a_container_has_what_its_limit_leaves(
    tmp_path: Path, limit: str, available_bytes: int
) -> None:
    root = written(
        tmp_path,
        {
            "proc/meminfo": "MemAvailable: 1000 kB\n",
            "sys/fs/cgroup/memory.max": f"{limit}\n",
            "sys/fs/cgroup/memory.current": "100000\n",
            "sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 40000\n",
        },
    )
    assert read_settings(root).available_bytes == available_bytes


def test_a_container_beyond_its_limit_has_nothing(tmp_path: Path) -> None:
    root = written(
        tmp_path, {"sys/fs/cgroup/memory.max": "100", "sys/fs/cgroup/memory.current": "300"}
    )
    assert read_settings(root).available_bytes == 0


def test_what_cannot_be_read_as_a_number_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/mm/hugepages/hugepages-2048kB").mkdir(parents=True)
    path = "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
    assert read_settings(written(tmp_path, {path: "many"})).hugetlb_free is None
    (tmp_path / path).write_bytes(b"\xff\xfe")
    assert read_settings(tmp_path).hugetlb_free is None
