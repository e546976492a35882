"""`torch.load` of a dictionary of tensors, read or mapped.

Only weights are allowed: nothing in the file is run.
"""

from pathlib import Path

import torch

from runtime.loaders.formats import files_of
from runtime.loaders.peers import Tensors
from runtime.loaders.touching import touch


def mapped(path: Path, device: str) -> Tensors:
    """Maps the files and touches every page."""
    tensors = _load(path, device, mmap=True)
    touch(tensors.values())
    return tensors


def read(path: Path, device: str) -> Tensors:
    return _load(path, device, mmap=False)


def _load(path: Path, device: str, *, mmap: bool) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for file in files_of(path, "torch"):
        tensors |= torch.load(file, map_location=device, mmap=mmap, weights_only=True)
    return tensors
