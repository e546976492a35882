"""The safetensors package's own two ways: mapping the file, and reading it tensor by tensor."""

from pathlib import Path

import torch

from runtime.loaders.formats import files_of
from runtime.loaders.peers import Tensors
from runtime.loaders.touching import touch


def mapped(path: Path, device: str) -> Tensors:
    """Maps the files and touches every page, so that the bytes are there."""
    tensors = _load(path, device, "mmap")
    touch(tensors.values())
    return tensors


def read(path: Path, device: str) -> Tensors:
    """Reads each tensor into memory of its own."""
    return _load(path, device, "pread")


def _load(path: Path, device: str, backend: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    for file in files_of(path, "safetensors"):
        tensors |= load_file(file, device=device, backend=backend)
    return tensors
