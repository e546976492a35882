"""flashpack, by the way of it that reads on the CPU as well: many threads, no lazy mapping."""

import os
from pathlib import Path

import torch

from runtime.loaders.formats import files_of
from runtime.loaders.peers import Tensors


def load(path: Path, device: str) -> Tensors:
    """The tensors share the block that was read into. Those without dimensions come as (1,)."""
    os.environ["FLASHPACK_CPU_PARALLEL_READ"] = "1"  # without it the CPU gets untouched mappings
    from flashpack.deserialization import iterate_from_flash_tensor, read_flashpack_file

    tensors: dict[str, torch.Tensor] = {}
    for file in files_of(path, "flashpack"):
        storage, metadata = read_flashpack_file(str(file), device)
        tensors |= dict(iterate_from_flash_tensor(storage, metadata))
    return tensors
