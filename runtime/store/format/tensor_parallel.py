"""Cuts a checkpoint for N devices by Megatron's rules, and puts the pieces together again.

Column-parallel layers (q, k, v, gate, up) are cut along dimension 0, row-parallel ones (o, down)
along 1, embeddings and the head along the vocabulary; norms are whole (Shoeybi et al. 2019,
arXiv:1909.08053, section 3). It knows the names of the Llama family, and no files.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from runtime.store.errors import CorruptError, StoreError, UnsupportedError
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.hashing import DEFAULT_HASH
from runtime.store.format.index import Index, TensorEntry
from runtime.store.format.sources import (
    Extent,
    ExtentTensor,
    Source,
    WholeTensor,
    contiguous_stride,
)
from runtime.store.format.values import is_row_major, value_digest

COLUMN: Final = r"(.*\.)?(q_proj|k_proj|v_proj|gate_proj|up_proj)"
ROW: Final = r"(.*\.)?(o_proj|down_proj)"
Rules = Sequence[tuple[str, int | None]]

LLAMA: Final[Rules] = (
    (COLUMN + r"\.(base_layer\.)?(weight|bias)", 0),
    (ROW + r"\.(base_layer\.)?weight", 1),
    (ROW + r"\.(base_layer\.)?bias", None),
    (COLUMN + r"\.lora_B(\.\w+)?\.weight", 0),
    (COLUMN + r"\.lora_A(\.\w+)?\.weight", None),
    (ROW + r"\.lora_A(\.\w+)?\.weight", 1),
    (ROW + r"\.lora_B(\.\w+)?\.weight", None),
    (r"(.*\.)?(embed_tokens|lm_head)\.(weight|bias)", 0),
    (r"(.*\.)?\w*norm\.(weight|bias)", None),
    (r"(.*\.)?rotary_emb\.inv_freq", None),
)
"""Patterns of whole names and the dimension each is cut along; None: whole on every device."""


def split_of(name: str, rules: Rules = LLAMA) -> int | None:
    """The dimension that a tensor is cut along. The first rule that fits the whole name counts.

    Raises UnsupportedError for a name that no rule fits (a fused qkv, say).
    """
    for pattern, dimension in rules:
        if re.fullmatch(pattern, name):
            return dimension
    raise UnsupportedError(f"tensor {name!r}: no rule says how to cut it; give one for its name")


def rules_of(given: Mapping[str, Any]) -> Rules:
    """A user's rules, a dimension or null for each pattern, before those of the Llama family.

    Raises StoreError for one that is none.
    """
    rules: list[tuple[str, int | None]] = []
    for pattern, dimension in given.items():
        if dimension is not None and (type(dimension) is not int or not 0 <= dimension < 64):
            raise StoreError(f"rule {pattern!r}: {dimension!r}; must be a dimension or null")
        try:
            re.compile(pattern)
        except re.error as error:
            raise StoreError(f"rule {pattern!r}: no regular expression: {error}") from None
        rules.append((pattern, dimension))
    return (*rules, *LLAMA)


def check_heads(config: Mapping[str, Any], devices: int) -> None:
    """A cut must not go through an attention head. Raises StoreError naming the config's field."""
    for field in ("num_attention_heads", "num_key_value_heads"):
        heads = config.get(field)
        if type(heads) is int and heads % devices:
            raise StoreError(f"config.json: {field} {heads} cannot be cut for {devices} devices")


def cut_source(source: Source, devices: int, rules: Rules = LLAMA) -> Source:
    """The same checkpoint with a partition for each device; its digest stays.

    Raises StoreError for sizes that do not divide, UnsupportedError for names without a rule and
    for tensors that cannot be cut (quantised ones, views).
    """
    if devices < 2:
        raise StoreError(f"devices: {devices}; a cut needs 2 or more")
    if len(source.partitions) != 1:
        raise UnsupportedError("the checkpoint is cut already: put it together first")
    splits: dict[str, int | None] = {}
    whole: dict[str, WholeTensor] = {}
    partitions: list[list[Extent]] = [[] for _ in range(devices)]
    for extent in source.partitions[0]:
        dimension = _extent_split(extent, devices, rules)
        splits.update({tensor.name: dimension for tensor in extent.tensors})
        for number, extents in enumerate(partitions):
            extents.append(_piece(extent, dimension, number, devices, whole))
    return replace(source, partitions=partitions, splits=splits, whole=lambda: whole)


def _extent_split(extent: Extent, devices: int, rules: Rules) -> int | None:
    found = {split_of(tensor.name, rules) for tensor in extent.tensors}
    names = ", ".join(tensor.name for tensor in extent.tensors)
    if any(tensor.quantised for tensor in extent.tensors):
        raise UnsupportedError(f"tensor {names}: torch's quantised types cannot be cut")
    if found <= {None}:
        return None
    layouts = {(one.dtype, one.shape, one.offset_bytes) for one in extent.tensors}
    if len(found) > 1 or len(layouts) > 1:
        raise UnsupportedError(f"tensors {names} share storage and are not cut alike")
    for tensor in extent.tensors:
        _check(tensor, next(iter(found)), devices)
    return next(iter(found))


def _check(tensor: ExtentTensor, dimension: int | None, devices: int) -> None:
    assert dimension is not None
    if tensor.offset_bytes or not is_row_major(tensor.shape, tensor.stride):
        raise UnsupportedError(f"tensor {tensor.name!r}: a view with steps cannot be cut")
    if dimension >= len(tensor.shape) or tensor.shape[dimension] % devices:
        raise StoreError(
            f"tensor {tensor.name!r}: dimension {dimension} of {list(tensor.shape)} "
            f"cannot be cut for {devices} devices"
        )


def _piece(
    extent: Extent,
    dimension: int | None,
    number: int,
    devices: int,
    whole: dict[str, WholeTensor],
) -> Extent:
    """One device's share; reading the first one's notes the digests of the uncut tensors."""

    def read() -> memoryview:
        data = extent.read()
        if not number:
            for one in extent.tensors:
                values = value_digest(DEFAULT_HASH, data, one)
                whole[one.name] = WholeTensor(one.dtype, one.shape, values)
        if dimension is None:
            return data
        return cut(data, extent.tensors[0], dimension, (number, devices))

    if dimension is None:
        return replace(extent, read=read, pour=None)  # `read` notes the digest of the whole
    tensors = []
    for one in extent.tensors:
        shape = list(one.shape)
        shape[dimension] //= devices
        tensors.append(replace(one, shape=tuple(shape), stride=contiguous_stride(shape)))
    size = prod(tensors[0].shape) * item_bytes(tensors[0].dtype)
    return Extent(size, tuple(tensors), read)


def cut(
    data: memoryview, tensor: ExtentTensor, dimension: int, share: tuple[int, int]
) -> memoryview:
    """The row-major bytes of share (number, of how many) along a dimension."""
    number, devices = share
    outer = prod(tensor.shape[:dimension])
    inner = prod(tensor.shape[dimension:]) * item_bytes(tensor.dtype)
    step = inner // devices
    items = np.frombuffer(data, np.uint8, outer * inner).reshape(outer, inner)
    piece = np.ascontiguousarray(items[:, number * step : (number + 1) * step])
    return piece.reshape(-1).data


def joined(pieces: Sequence[memoryview], shape: Sequence[int], dimension: int) -> memoryview:
    """The uncut bytes of equal pieces, each row-major of this `shape`."""
    outer = prod(shape[:dimension])
    rows = [
        np.frombuffer(one, np.uint8).reshape(outer, len(one) // max(1, outer)) for one in pieces
    ]
    return np.concatenate(rows, axis=1).reshape(-1).data


def check_pieces(
    checkpoint: Path, index: Index, entries: Sequence[TensorEntry], dimension: int
) -> None:
    """Whether a cut tensor's entries, one a partition, can be joined. Raises CorruptError."""
    first = entries[0]
    alike = {(one.shape, one.dtype) for one in entries}
    if len(entries) != len(index.partitions) or len(alike) > 1 or dimension >= len(first.shape):
        raise CorruptError(checkpoint, f"tensor {first.name!r}: its pieces do not fit together")
