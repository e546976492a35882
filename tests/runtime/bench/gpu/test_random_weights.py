"""Random checkpoints have the shapes asked for, and no two tensors alike."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="random weights are torch's")

from runtime.bench.gpu.random_weights import write_random
from runtime.store.format.parsing import read_index
from runtime.store.format.verifying import verify

TENSORS = [("small", (3, 5)), ("norm", (7,)), ("large", (64, 1024)), ("twin", (3, 5))]


def test_the_checkpoint_is_whole_and_of_the_shapes_asked_for(tmp_path: Path) -> None:
    block = 64 << 10  # half of what the large one takes: it goes round
    written = write_random(TENSORS, tmp_path / "model", block_bytes=block)
    index = read_index(tmp_path / "model")
    assert index == written
    assert [(entry.name, entry.shape) for entry in index.tensors] == TENSORS
    assert not verify(tmp_path / "model", deep=True).faults
    assert len({entry.values for entry in index.tensors}) == len(TENSORS)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one = write_random(TENSORS, tmp_path / "one", seed=1, block_bytes=64 << 10)
    two = write_random(TENSORS, tmp_path / "two", seed=2, block_bytes=64 << 10)
    assert one.digest != two.digest
