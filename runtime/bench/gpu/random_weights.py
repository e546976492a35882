"""Checkpoints of a shape with random weights, written as fast as the disk takes them.

All tensors are cut from one block of random numbers, each from another place in it: the bytes do
not compress, and making them costs no more than the block. They mean nothing to a reader.
"""

from collections.abc import Iterable
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import torch

from runtime.bench.gpu.shapes import BFLOAT16_BYTES
from runtime.store.format.index import Index
from runtime.store.format.sources import Source, plain_extent
from runtime.store.format.writing import write_checkpoint

BLOCK_BYTES = 256 << 20
STEP_BYTES = 7919 * 4096  # from one tensor's place in the block to the next: a prime of pages


def write_random(
    tensors: Iterable[tuple[str, tuple[int, ...]]],
    target: Path,
    *,
    seed: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> Index:
    """A checkpoint of bfloat16 tensors of these names and shapes, deviation 0.02 around 0.

    Raises what `write_checkpoint` raises.
    """
    block = _block(block_bytes, seed)
    extents = [
        plain_extent(
            name, "bfloat16", shape, partial(_cut, block, number, prod(shape) * BFLOAT16_BYTES)
        )
        for number, (name, shape) in enumerate(tensors)
    ]
    return write_checkpoint(Source([extents]), target)


def _block(size_bytes: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    chance = torch.Generator().manual_seed(seed)
    numbers = torch.randn(size_bytes // BFLOAT16_BYTES, generator=chance).mul_(0.02)
    return numbers.bfloat16().view(torch.uint8).numpy()


def _cut(
    block: np.ndarray[tuple[int], np.dtype[np.uint8]], number: int, size_bytes: int
) -> memoryview:
    """Some bytes from the tensor's place on, going round where the block ends."""
    start = number * STEP_BYTES % len(block)
    if start + size_bytes <= len(block):
        return block[start : start + size_bytes].data
    return np.resize(np.roll(block, -start), size_bytes).data
