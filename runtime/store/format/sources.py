"""What a writer is given: pieces of storage and the tensors that lie in them. No torch here.

A piece is read when the writer comes to it, so that a source larger than memory can be written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from runtime.store.format.dtypes import item_bytes
from runtime.store.format.index import Quantised


@dataclass(frozen=True, slots=True)
class ExtentTensor:
    """One tensor of an extent: as TensorEntry, but its offset is counted from the extent's start.

    `shape` and `stride` count elements.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset_bytes: int = 0
    quantised: Quantised | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of storage that the tensors share, and how to come by its bytes.

    `read` gives `size_bytes` flat bytes; the writer lets go of them before it asks for the next
    but a few. `pour(memory, offset_bytes)` fills memory with the bytes from an offset on, for a
    source that needs no memory of its own for that: then a writer that can takes them so.
    """

    size_bytes: int
    tensors: tuple[ExtentTensor, ...]
    read: Callable[[], memoryview]
    pour: Callable[[memoryview, int], None] | None = None


@dataclass(frozen=True, slots=True)
class WholeTensor:
    """What the checkpoint's digest takes of a tensor."""

    dtype: str
    shape: tuple[int, ...]
    values: str


@dataclass(frozen=True, slots=True)
class Source:
    """A whole checkpoint to write: the extents of each partition, in the order of the file.

    `splits` and `metadata` are the index's; `carried` are small files, by the name that they will
    have. `whole` gives the uncut tensors' digests by name where tensors are cut over partitions:
    the checkpoint's digest is over those, so that it stays that of the uncut one.
    """

    partitions: Sequence[Sequence[Extent]]
    splits: Mapping[str, int | None] = field(default_factory=dict)
    carried: Sequence[tuple[str, Path]] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    whole: Callable[[], Mapping[str, WholeTensor]] | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all extents, without the room between them."""
        return sum(extent.size_bytes for extents in self.partitions for extent in extents)


def contiguous_stride(shape: Sequence[int]) -> tuple[int, ...]:
    """Steps of a row-major tensor, in elements; torch counts an empty dimension as one."""
    sizes = [max(1, size) for size in shape]
    return tuple(prod(sizes[place + 1 :]) for place in range(len(sizes)))


def plain_extent(
    name: str, dtype: str, shape: tuple[int, ...], read: Callable[[], memoryview]
) -> Extent:
    """An extent that holds one row-major tensor and nothing else."""
    tensor = ExtentTensor(name, dtype, shape, contiguous_stride(shape))
    return Extent(prod(shape) * item_bytes(dtype), (tensor,), read)
