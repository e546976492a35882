"""Layouts: nothing lost between file and device, everything aligned there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store.errors import StoreError
from runtime.store.files import FileState
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.index import Index, Partition
from runtime.store.format.safetensors import Header, StoredTensor
from runtime.store.loading.plan import (
    Run,
    checkpoint_layout,
    layout_of,
    name_of,
    pieces,
    safetensors_layout,
    stamp_of,
)

DTYPES = ["uint8", "bfloat16", "float32", "float64"]


@st.composite
def headers(draw: st.DrawFn) -> list[Header]:
    """Files as safetensors has them: a header of some length, tensors without gaps."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        at = start = 8 + draw(st.integers(2, 500))
        tensors = []
        for place in range(draw(st.integers(0, 5))):
            dtype = draw(st.sampled_from(DTYPES))
            count = draw(st.sampled_from([0, 1, 3, 64, 128, 129]))
            size = count * item_bytes(dtype)
            tensors.append(StoredTensor(f"{number}.{place}", dtype, (count,), at, size))
            at += size
        state = FileState(max(at, start), 0, number, 0)
        made.append(Header(Path(f"/m/{number}.safetensors"), state, tuple(tensors), {}))
    return made


@given(headers())
def test_every_tensor_of_safetensors_files_comes_to_the_device_whole_and_aligned(
    files: list[Header],
) -> None:
    layout = safetensors_layout(Path("/m"), files)
    moved = {
        run.host_bytes + at: run.device_bytes + at
        for run in layout.runs
        for at in range(run.size_bytes)
    }
    assert len(set(moved.values())) == len(moved), "two bytes in one place"
    sizes = [one.size_bytes for header in files for one in header.tensors]
    for host, device, size in zip(layout.tensors, layout.device_tensors, sizes, strict=True):
        assert device.offset_bytes % 256 == 0 or not size
        for at in range(size):
            assert moved[host.offset_bytes + at] == device.offset_bytes + at
        assert device.offset_bytes + size <= layout.device_bytes


@given(headers())
def test_files_lie_behind_one_another_each_from_a_block_on(files: list[Header]) -> None:
    layout = safetensors_layout(Path("/m"), files)
    end = 0
    for part in layout.files:
        assert part.offset_bytes % 4096 == 0
        assert part.offset_bytes >= end
        end = part.offset_bytes + part.size_bytes
    assert end <= layout.size_bytes


def test_tensors_of_whole_multiples_travel_in_one_run() -> None:
    tensors = tuple(StoredTensor(f"{at}", "float32", (64,), 80 + 256 * at, 256) for at in range(9))
    header = Header(Path("/m"), FileState(80 + 9 * 256, 0, 0, 0), tensors, {})
    assert safetensors_layout(Path("/m"), [header]).runs == (Run(80, 0, 9 * 256),)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=5),
    st.integers(1, 40),
)
def test_pieces_of_chunk_after_chunk_are_the_runs_again(
    sizes: list[tuple[int, int]], chunk: int
) -> None:
    runs, host, device = [], 0, 0
    for size, gap in sizes:
        runs.append(Run(host + gap, device, size))
        host, device = host + gap + size, device + size + 3
    found = [piece for at in range(0, host, chunk) for piece in pieces(runs, at, chunk)]
    bytes_found = [
        (piece.host_bytes + at, piece.device_bytes + at)
        for piece in found
        for at in range(piece.size_bytes)
    ]
    wanted = [
        (run.host_bytes + at, run.device_bytes + at) for run in runs for at in range(run.size_bytes)
    ]
    assert bytes_found == wanted


def test_a_partition_that_is_not_there_is_refused() -> None:
    index = Index("xxh3_128", "", (Partition("data-0.bin", 0, ()),), ())
    with pytest.raises(StoreError, match="partition 1; it has 1"):
        checkpoint_layout(Path("/m"), index, 1)


def test_a_path_with_nothing_there_is_refused(tmp_path: Path) -> None:
    assert stamp_of(tmp_path / "none") == ()
    with pytest.raises(StoreError, match="none"):
        layout_of(tmp_path / "none")


def test_partitions_have_names_of_their_own_in_the_pool() -> None:
    assert name_of(Path("/models/x")) == "/models/x"
    assert name_of(Path("/models/y/../x"), 2) == "/models/x#2"
