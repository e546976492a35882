"""Tells whether tensors are the ones that were written, bit for bit."""

from collections.abc import Mapping

import torch

from runtime.bench.load.manifests import Fingerprint
from runtime.store.format.hashing import DEFAULT_HASH, digest


def fingerprint(tensor: torch.Tensor) -> Fingerprint:
    dense = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    found = digest(DEFAULT_HASH, dense.numpy().data)
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), f"{DEFAULT_HASH}:{found}"]


def difference(
    tensors: Mapping[str, torch.Tensor], expected: Mapping[str, Fingerprint]
) -> str | None:
    """The first thing that is not as expected, in a few words; None where nothing is."""
    for name in expected:
        if name not in tensors:
            return f"there is no tensor {name}"
    for name, tensor in tensors.items():
        if name not in expected:
            return f"there is a tensor {name} that was never written"
        if fingerprint(tensor) != expected[name]:
            return f"tensor {name} is not what was written"
    return None
