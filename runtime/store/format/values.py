"""Digests over tensor values: the same for the same numbers, however a file lays them out."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np
from numpy.lib.stride_tricks import as_strided

from runtime.store.format.dtypes import item_bytes
from runtime.store.format.hashing import digest, hasher
from runtime.store.format.index import TensorEntry
from runtime.store.format.sources import ExtentTensor, WholeTensor, contiguous_stride


def value_digest(hash_name: str, data: memoryview, tensor: ExtentTensor | TensorEntry) -> str:
    """Of the elements in row-major order. `data` is what `tensor.offset_bytes` counts from."""
    return digest(hash_name, row_major(data, tensor))


def row_major(data: memoryview, tensor: ExtentTensor | TensorEntry) -> memoryview:
    """The elements' bytes in row-major order: where they lie if they lie so, else a copy."""
    size = item_bytes(tensor.dtype)
    count = 1
    for extent in tensor.shape:
        count *= extent
    start = tensor.offset_bytes
    if not count or _is_row_major(tensor.shape, tensor.stride):
        return data[start : start + count * size]
    items = np.frombuffer(data[start:], dtype=f"V{size}", count=(len(data) - start) // size)
    steps = tuple(step * size for step in tensor.stride)
    together = np.ascontiguousarray(as_strided(items, tensor.shape, steps))
    return together.reshape(-1).view(np.uint8).data


def _is_row_major(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
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
