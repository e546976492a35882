"""What a writer needs of torch tensors: pieces of their storages, and how they lie in them.

Tensors whose bytes overlap come in one piece and so stay shared; of a storage that a tensor is a
view of, only what some tensor reaches is written.
"""

import ctypes
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch

from runtime.store.errors import UnsupportedError
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.index import Quantised
from runtime.store.format.sources import Extent, ExtentTensor, Source
from runtime.store.loading.tensors import dtype_name

BORDER_BYTES: Final = 16
"""The largest element: a piece of a storage begins at a multiple, so that all elements in it do."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """The bytes that one tensor reaches in its storage, and the tensor."""

    start: int
    end: int
    name: str
    tensor: torch.Tensor
    quantised: Quantised | None


def source_of(
    tensors: Mapping[str, torch.Tensor], *, metadata: Mapping[str, str] | None = None
) -> Source:
    """A source of one partition, with the tensors in the order of the mapping.

    The bytes are read when the writer comes to them. Scales and zero points of tensors quantised
    by channel become tensors of their own, named after them.
    Raises UnsupportedError for a tensor that is no plain block of numbers (sparse, nested, meta).
    """
    storages: defaultdict[tuple[str, int], list[_Piece]] = defaultdict(list)
    for piece in _pieces(tensors):
        storage = piece.tensor.untyped_storage()
        key = (str(piece.tensor.device), storage.data_ptr())
        # an empty tensor shares nothing, whatever its storage
        storages[key if piece.end > piece.start else (piece.name, -1)].append(piece)
    extents = [_extent(group) for pieces in storages.values() for group in _overlapping(pieces)]
    return Source([extents], metadata=dict(metadata or {}))


def _pieces(tensors: Mapping[str, torch.Tensor]) -> Iterator[_Piece]:
    for name, tensor in tensors.items():
        _refuse(name, tensor)
        how = None
        if tensor.is_quantized:
            how, extra = _quantised(name, tensor)
            for twin in extra.keys() & tensors.keys():
                raise UnsupportedError(f"tensor {name!r}: {twin!r} must be free for its scales")
            yield from _pieces(extra)
        yield _piece(name, tensor, how)


def _refuse(name: str, tensor: torch.Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_nested or tensor.device.type == "meta":
        raise UnsupportedError(
            f"tensor {name!r}: {tensor.layout} on {tensor.device}; only strided tensors with data"
        )
    if tensor.is_conj() or tensor.is_neg():
        raise UnsupportedError(f"tensor {name!r}: conjugated or negated lazily; resolve it first")


def _piece(name: str, tensor: torch.Tensor, how: Quantised | None) -> _Piece:
    size = item_bytes(dtype_name(tensor.dtype))
    start = int(tensor.storage_offset()) * size
    if not tensor.numel():
        return _Piece(0, 0, name, tensor, how)
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return _Piece(start, start + (reach + 1) * size, name, tensor, how)


def _quantised(name: str, tensor: torch.Tensor) -> tuple[Quantised, dict[str, torch.Tensor]]:
    scheme = str(tensor.qscheme()).removeprefix("torch.")
    if scheme == "per_tensor_affine":
        scale, zero = float(tensor.q_scale()), int(tensor.q_zero_point())
        return Quantised(scheme, scale=scale, zero_point=zero), {}
    if scheme == "per_channel_affine":
        scales, zeros = f"{name}.scales", f"{name}.zero_points"
        how = Quantised(
            scheme, axis=int(tensor.q_per_channel_axis()), scales=scales, zero_points=zeros
        )
        extra = {
            scales: tensor.q_per_channel_scales(),
            zeros: tensor.q_per_channel_zero_points(),
        }
        return how, extra
    raise UnsupportedError(
        f"tensor {name!r}: quantised by {scheme}; known are per_tensor_affine, per_channel_affine"
    )


def _overlapping(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces of one storage in groups that share bytes, directly or through others."""
    group: list[_Piece] = []
    end = 0
    for piece in sorted(pieces, key=lambda one: (one.start, one.end)):
        if group and piece.start >= end:
            yield group
            group = []
        group.append(piece)
        end = max(end, piece.end) if len(group) > 1 else piece.end
    if group:
        yield group


def _extent(pieces: list[_Piece]) -> Extent:
    first = pieces[0].start // BORDER_BYTES * BORDER_BYTES
    end = max(piece.end for piece in pieces)
    storage = pieces[0].tensor
    tensors = tuple(
        ExtentTensor(
            name=piece.name,
            dtype=dtype_name(piece.tensor.dtype),
            shape=tuple(piece.tensor.shape),
            stride=tuple(piece.tensor.stride()),
            offset_bytes=piece.start - first if piece.end else 0,
            quantised=piece.quantised,
        )
        for piece in pieces
    )
    return Extent(end - first, tensors, lambda: _bytes(storage, first, end))


def _bytes(tensor: torch.Tensor, start: int, end: int) -> memoryview:
    """Part of a tensor's storage, copied to host memory if it lies elsewhere."""
    if end == start:
        return memoryview(b"")
    whole = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    whole.set_(tensor.untyped_storage(), start, (end - start,))
    here = whole.cpu()
    block = (ctypes.c_ubyte * (end - start)).from_address(here.data_ptr())
    block._tensor = here  # type: ignore[attr-defined]  # keeps the memory as long as the view
    return memoryview(block).cast("B")
