"""What a writer needs of torch tensors: pieces of their storages, and how they lie in them.

Tensors whose bytes overlap come in one piece and so stay shared; of a storage that a tensor is a
view of, only what some tensor reaches is written.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from runtime.store.errors import UnsupportedError
from runtime.store.format.index import Quantised
from runtime.store.format.sources import Extent, ExtentTensor, Source
from runtime.store.loading.tensors import PER_CHANNEL, WIDEST_BYTES, dtype_name


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

    The bytes are read when the writer comes to them; those of a device come over piece by piece.
    Gradients are dropped, lazily conjugated or negated values are made plain. Scales and zero
    points of tensors quantised by channel become tensors of their own, named after them.
    Raises UnsupportedError for what is no plain block of numbers (sparse, on "meta").
    """
    storages: dict[object, list[_Piece]] = {}
    for piece in _pieces(tensors):
        # an empty tensor shares nothing, whatever its storage
        key = (piece.tensor.device, piece.tensor.untyped_storage().data_ptr())
        storages.setdefault(key if piece.end else piece.name, []).append(piece)
    extents = [_extent(group) for pieces in storages.values() for group in _overlapping(pieces)]
    return Source([extents], metadata=dict(metadata or {}))


def _pieces(tensors: Mapping[str, torch.Tensor]) -> Iterator[_Piece]:
    for name, tensor in tensors.items():
        _refuse(name, tensor)
        plain = tensor.detach()
        if not plain.is_quantized:
            yield _piece(name, plain.resolve_conj().resolve_neg(), None)
            continue
        how, parameters = _quantised(name, plain)
        for other in parameters.keys() & tensors.keys():
            raise UnsupportedError(f"tensor {name!r}: {other!r} must be free for its parameters")
        yield from _pieces(parameters)
        yield _piece(name, plain, how)


def _refuse(name: str, tensor: torch.Tensor) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise UnsupportedError(f"{name!r}: {type(tensor).__name__}, expected a tensor")
    if tensor.layout != torch.strided or tensor.is_nested or tensor.device.type == "meta":
        raise UnsupportedError(
            f"tensor {name!r}: {tensor.layout} on {tensor.device}; only strided tensors with data"
        )
    dtype_name(tensor.dtype)


def _quantised(name: str, tensor: torch.Tensor) -> tuple[Quantised, dict[str, torch.Tensor]]:
    scheme = str(tensor.qscheme()).removeprefix("torch.")
    if scheme == "per_tensor_affine":
        scale, zero_point = float(tensor.q_scale()), int(tensor.q_zero_point())
        return Quantised(scheme, scale=scale, zero_point=zero_point), {}
    if scheme not in PER_CHANNEL:
        known = ", ".join(("per_tensor_affine", *PER_CHANNEL))
        raise UnsupportedError(f"tensor {name!r}: quantised by {scheme}; known are {known}")
    scales, zero_points = f"{name}.scales", f"{name}.zero_points"
    axis = int(tensor.q_per_channel_axis())
    how = Quantised(scheme, axis=axis, scales=scales, zero_points=zero_points)
    return how, {
        scales: tensor.q_per_channel_scales(),
        zero_points: tensor.q_per_channel_zero_points(),
    }


def _piece(name: str, tensor: torch.Tensor, how: Quantised | None) -> _Piece:
    if not tensor.numel():
        return _Piece(0, 0, name, tensor, how)
    size = tensor.element_size()
    start = int(tensor.storage_offset()) * size
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((count - 1) * int(step) for count, step in steps)
    return _Piece(start, start + (last + 1) * size, name, tensor, how)


def _overlapping(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces of one storage in groups that share bytes, directly or through others."""
    group: list[_Piece] = []
    end = 0
    for piece in sorted(pieces, key=lambda one: (one.start, one.end)):
        if group and piece.start >= end:
            yield group
            group = []
        group.append(piece)
        end = max(end, piece.end)
    yield group


def _extent(pieces: list[_Piece]) -> Extent:
    """One piece of storage. It begins where every element's offset stays a multiple of its size."""
    first = pieces[0].start // WIDEST_BYTES * WIDEST_BYTES
    size = max(piece.end for piece in pieces) - first
    tensors = tuple(
        ExtentTensor(
            name=piece.name,
            dtype=dtype_name(piece.tensor.dtype),
            shape=tuple(piece.tensor.shape),
            stride=tuple(piece.tensor.stride()),
            offset_bytes=piece.start - first,
            quantised=piece.quantised,
        )
        for piece in pieces
    )
    return Extent(size, tensors, partial(_bytes, pieces[0].tensor, first, size))


def _bytes(tensor: torch.Tensor, start: int, size: int) -> memoryview:
    """Part of a tensor's storage, on the host; zeros behind its end.

    A storage of packed 4-bit elements has fewer bytes than it has elements.
    """
    whole = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    whole.set_(tensor.untyped_storage())
    piece = whole[start : start + size].cpu()
    if len(piece) < size:
        piece = torch.cat([piece, torch.zeros(size - len(piece), dtype=torch.uint8)])
    found: memoryview = piece.numpy().data
    return found
