"""Tensors as views of one block of bytes.

It knows torch and what an index says of a tensor; not where the bytes come from or how they travel.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import torch

from runtime.store.errors import UnsupportedError
from runtime.store.format.dtypes import ITEM_BYTES, item_bytes
from runtime.store.format.index import TensorEntry
from runtime.store.format.sources import ExtentTensor

Entry = ExtentTensor | TensorEntry
"""What is said of a tensor; `offset_bytes` counts from the start of the block."""

TORCH_DTYPES: Final[dict[str, torch.dtype]] = {
    name: getattr(torch, name) for name in ITEM_BYTES if hasattr(torch, name)
}
"""The data types of this torch by the name that an index gives them."""

PER_CHANNEL: Final = ("per_channel_affine", "per_channel_affine_float_qparams")
WIDEST_BYTES: Final = max(ITEM_BYTES.values())
_NAMES: Final = {dtype: name for name, dtype in TORCH_DTYPES.items()}


def dtype_of(name: str) -> torch.dtype:
    """Raises UnsupportedError where this torch is older than the data type."""
    try:
        return TORCH_DTYPES[name]
    except KeyError:
        item_bytes(name)  # a name that no torch has is said to be so
        raise UnsupportedError(f"dtype {name!r}: torch {torch.__version__} has none") from None


def dtype_name(dtype: torch.dtype) -> str:
    """The name that an index gives a type. Raises UnsupportedError for one it does not know."""
    try:
        return _NAMES[dtype]
    except KeyError:
        raise UnsupportedError(f"dtype {dtype}: the format does not know it") from None


def block_of(memory: memoryview) -> torch.Tensor:
    """Flat bytes as a uint8 tensor, without a copy; the tensor keeps the memory alive."""
    return torch.from_numpy(np.asarray(memory))


def views(block: torch.Tensor, entries: Iterable[Entry]) -> dict[str, torch.Tensor]:
    """The tensors that lie in a block of uint8, by name, in the order of the entries.

    Nothing is copied: all share the block's storage, so tied tensors stay tied and every one of
    them keeps the whole block alive. Parameters of quantised ones are part of them, and not listed.
    Raises UnsupportedError for a data type that this torch does not have.
    """
    bases = _Bases(block)
    found: dict[str, torch.Tensor] = {}
    quantised: list[Entry] = []
    for entry in entries:
        if entry.quantised is not None:
            quantised.append(entry)
        found[entry.name] = bases.view(entry)
    parameters: set[str] = set()
    for entry in quantised:
        found[entry.name] = _requantised(entry, block, found)
        parameters.update(_parameter_names(entry))
    for name in parameters:
        found.pop(name, None)
    return found


class _Bases:
    """A block seen as one flat tensor of each data type, made once."""

    def __init__(self, block: torch.Tensor) -> None:
        self._block = block
        self._start = block.storage_offset()
        self._of: dict[str, tuple[torch.Tensor, int, int]] = {}

    def view(self, entry: Entry) -> torch.Tensor:
        found = self._of.get(entry.dtype)
        if found is None:
            found = self._of[entry.dtype] = self._base(entry.dtype)
        base, start, size = found
        return torch.as_strided(base, entry.shape, entry.stride, start + entry.offset_bytes // size)

    def _base(self, name: str) -> tuple[torch.Tensor, int, int]:
        dtype, size = dtype_of(name), item_bytes(name)
        whole = self._block[: len(self._block) // size * size]
        return whole.view(dtype), self._start // size, size


def _parameter_names(entry: Entry) -> tuple[str, ...]:
    assert entry.quantised is not None
    names = (entry.quantised.scales, entry.quantised.zero_points)
    return tuple(name for name in names if name is not None)


def _requantised(
    entry: Entry, block: torch.Tensor, found: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """A quantised tensor over the block's bytes: torch makes it empty and lays it there."""
    made = _quantised_empty(entry, block.device, found)
    start = block.storage_offset() + entry.offset_bytes
    place = start // item_bytes(entry.dtype)
    return made.set_(block.untyped_storage(), place, entry.shape, entry.stride)


def _quantised_empty(
    entry: Entry, device: torch.device, found: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    how = entry.quantised
    assert how is not None
    dtype = dtype_of(entry.dtype)
    if how.scheme == "per_tensor_affine" and how.scale is not None and how.zero_point is not None:
        return torch._empty_affine_quantized(
            [0], scale=how.scale, zero_point=how.zero_point, dtype=dtype, device=device
        )
    names = _parameter_names(entry)
    if how.scheme in PER_CHANNEL and how.axis is not None and len(names) == 2:
        return torch._empty_per_channel_affine_quantized(
            [0] * len(entry.shape),
            scales=_parameter(entry, names[0], found),
            zero_points=_parameter(entry, names[1], found),
            axis=how.axis,
            dtype=dtype,
            device=device,
        )
    raise UnsupportedError(f"tensor {entry.name}: quantised as {how}, which torch does not know")


def _parameter(entry: Entry, name: str, found: Mapping[str, torch.Tensor]) -> torch.Tensor:
    try:
        return found[name]
    except KeyError:
        raise UnsupportedError(f"tensor {entry.name}: no {name!r} to quantise by") from None
