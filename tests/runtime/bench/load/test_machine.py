"""The machine is named by what the system says of it."""

import os
from pathlib import Path

from runtime.bench.load.machine import machine


def test_it_names_processor_disk_and_kernel(tmp_path: Path) -> None:
    found = machine(tmp_path)
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.memory_bytes > 1 << 28
    assert found.kernel == os.uname().release
    assert " on " in found.disk
    assert found.cpu
    assert "shmem_enabled" in found.huge_pages
    assert found.date.endswith("+00:00")


def test_the_disk_is_that_of_the_folder() -> None:
    assert machine(Path("/proc/self")).disk == "proc on proc"
