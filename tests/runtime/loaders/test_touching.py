"""Touching brings every page of a mapped file into memory, of tensors of any size and kind."""

import mmap
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="what is touched are torch tensors")

from runtime.loaders.touching import PAGE_BYTES, touch  # noqa: E402


def resident_kib(path: Path) -> int:
    """Of the mappings of the file in this process."""
    total, mine = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            mine = line.endswith(str(path))
        elif mine and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


@pytest.mark.parametrize("size", [1, PAGE_BYTES - 1, PAGE_BYTES + 1, 40 * PAGE_BYTES + 17])
def test_every_page_is_there_afterwards(tmp_path: Path, size: int) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(size))
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), size)
    tensor = torch.frombuffer(mapped, dtype=torch.uint8)
    touch([tensor, torch.empty(0)])
    assert resident_kib(path) * 1024 >= size
    del tensor
    mapped.close()


def test_what_has_no_dimension_or_is_not_contiguous_is_no_obstacle() -> None:
    touch([torch.tensor(3.0), torch.zeros(4, 6).t(), torch.zeros(3, dtype=torch.bool)])
