"""Checkpoints that hypothesis makes: tensors over pieces of storage, and what they must be."""

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

from hypothesis import strategies as st

from runtime.store.format.dtypes import ITEM_BYTES, item_bytes
from runtime.store.format.index import Index, TensorEntry
from runtime.store.format.sources import Extent, ExtentTensor, Source, contiguous_stride
from runtime.store.format.values import row_major


def reader(data: bytes) -> Callable[[], memoryview]:
    """A reader of bytes that are at hand."""
    return lambda: memoryview(data)


@st.composite
def tensors(draw: st.DrawFn, name: str) -> tuple[ExtentTensor, int]:
    """A tensor of any data type, shape and stride, and the bytes from its extent's start."""
    dtype = draw(st.sampled_from(sorted(ITEM_BYTES)))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    if draw(st.booleans()):
        stride = contiguous_stride(shape)
    else:
        stride = tuple(draw(st.integers(0, 7)) for _ in shape)
    offset = draw(st.integers(0, 9)) * item_bytes(dtype)
    tensor = ExtentTensor(name, dtype, shape, stride, offset)
    span = sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1
    return tensor, offset + (span * item_bytes(dtype) if prod(shape) else 0)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    """Up to two partitions of a few extents, each with views, shared or none."""
    partitions: list[list[Extent]] = []
    for part in range(draw(st.integers(1, 2))):
        extents: list[Extent] = []
        for place in range(draw(st.integers(0, 4))):
            count = draw(st.integers(0, 3))
            found = [draw(tensors(f"p{part}.{place}.{number}")) for number in range(count)]
            size = max([end for _, end in found], default=0) + draw(
                st.sampled_from([0, 1, 255, 4096, 9001])
            )
            data = draw(st.randoms(use_true_random=False)).randbytes(size)
            extents.append(Extent(size, tuple(one for one, _ in found), reader(data)))
        partitions.append(extents)
    return Source(partitions, metadata={"origin": "made"})


def stored(folder: Path, index: Index, entry: TensorEntry) -> bytes:
    """A tensor's elements as the files have them."""
    data = (folder / index.partitions[entry.partition].file).read_bytes()
    return b"".join(row_major(memoryview(data), entry))


def wanted(extent: Extent, tensor: ExtentTensor) -> bytes:
    """A tensor's elements as the source has them, one index at a time."""
    size, data = item_bytes(tensor.dtype), bytes(extent.read())
    return b"".join(
        data[tensor.offset_bytes + at * size :][:size]
        for at in _places(tensor.shape, tensor.stride)
    )


def _places(shape: Sequence[int], stride: Sequence[int]) -> list[int]:
    places = [0]
    for size, step in zip(shape, stride, strict=True):
        places = [place + number * step for place in places for number in range(size)]
    return places
