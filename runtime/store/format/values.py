"""Digests over tensor values: the same for the same numbers, however a file lays them out."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from math import prod
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from runtime.store.format.dtypes import item_bytes
from runtime.store.format.hashing import hasher
from runtime.store.format.index import TensorEntry
from runtime.store.format.sources import ExtentTensor, WholeTensor, contiguous_stride

PIECE_BYTES: Final = 32 << 20
Items = np.ndarray[Any, np.dtype[np.void]]


def value_digest(hash_name: str, data: memoryview, tensor: ExtentTensor | TensorEntry) -> str:
    """Of the elements in row-major order. `data` is what `tensor.offset_bytes` counts from."""
    found = hasher(hash_name)
    for piece in row_major(data, tensor):
        found.update(piece)
    return found.hexdigest()


def row_major(data: memoryview, tensor: ExtentTensor | TensorEntry) -> Iterator[memoryview]:
    """The elements' bytes in row-major order, in pieces.

    One piece where they lie so; else copies of at most PIECE_BYTES: an expanded tensor may have
    far more elements than there are bytes.
    """
    size, start = item_bytes(tensor.dtype), tensor.offset_bytes
    count = prod(tensor.shape)
    if not count or is_row_major(tensor.shape, tensor.stride):
        yield data[start : start + count * size]
        return
    items = np.frombuffer(data[start:], dtype=f"V{size}", count=(len(data) - start) // size)
    sizes_and_steps = zip(tensor.shape, tensor.stride, strict=True)
    steps = tuple(step * size if extent > 1 else 0 for extent, step in sizes_and_steps)
    for piece in _cut(as_strided(items, tensor.shape, steps)):
        yield np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data


def _cut(items: Items) -> Iterator[Items]:
    """The same elements in the same order, in arrays of at most PIECE_BYTES."""
    if items.nbytes <= PIECE_BYTES:
        yield items
    elif len(items) == 1:
        yield from _cut(items[0])
    else:
        yield from _cut(items[: len(items) // 2])
        yield from _cut(items[len(items) // 2 :])


def is_row_major(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether elements follow one another without gaps, in the order of their indices."""
    wanted = contiguous_stride(shape)
    return all(
        size == 1 or step == plain for size, step, plain in zip(shape, stride, wanted, strict=True)
    )


def checkpoint_digest(hash_name: str, tensors: Mapping[str, WholeTensor]) -> str:
    """Over names, data types, shapes and values, in the order of the names."""
    found = hasher(hash_name)
    for name in sorted(tensors):
        one = tensors[name]
        line = json.dumps([name, one.dtype, list(one.shape), one.values])
        found.update(line.encode() + b"\n")
    return found.hexdigest()


def whole_tensors(entries: Iterable[TensorEntry]) -> dict[str, WholeTensor]:
    """Of a checkpoint whose tensors are not cut; how one is quantised is part of its type."""
    return {
        entry.name: WholeTensor(_type_name(entry), entry.shape, entry.values) for entry in entries
    }


def _type_name(entry: TensorEntry) -> str:
    if entry.quantised is None:
        return entry.dtype
    return f"{entry.dtype} {json.dumps(asdict(entry.quantised), sort_keys=True)}"
