"""What a checkpoint's index says: tensors, the files they lie in, and how to know them whole.

Values only: reading and checking the file is `parsing.py`'s, writing is `writing.py`'s.
Two tensors share storage where their bytes overlap in one partition; nothing else says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Final

from runtime.store.format.dtypes import item_bytes

VERSION: Final = 1
INDEX_FILE: Final = "index.json"
ALIGN_BYTES: Final = 4096  # files end, and large storages begin, at a block of any disk
SMALL_ALIGN_BYTES: Final = 256  # every storage begins at least so: what GPU kernels want
CHUNK_BYTES: Final = 16 << 20  # one checksum, and the unit of reading


@dataclass(frozen=True, slots=True)
class Quantised:
    """How stored integers become numbers, for torch's quantised types.

    `scheme` is torch's name (per_tensor_affine, per_channel_affine, ...). Per tensor: `scale` and
    `zero_point`. Per channel: `axis`, and the names of the two tensors that hold them.
    """

    scheme: str
    scale: float | None = None
    zero_point: int | None = None
    axis: int | None = None
    scales: str | None = None
    zero_points: str | None = None


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of one partition.

    `shape` and `stride` count elements; `offset_bytes` is where the first element lies in the
    partition; `values` is the digest of the elements in row-major order.
    """

    name: str
    partition: int
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset_bytes: int
    values: str
    quantised: Quantised | None = None

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def span_bytes(self) -> int:
        """From the first byte of the first element to the last byte of the last; 0 if empty."""
        if not self.elements:
            return 0
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return (last + 1) * item_bytes(self.dtype)

    @property
    def end_bytes(self) -> int:
        return self.offset_bytes + self.span_bytes


@dataclass(frozen=True, slots=True)
class Partition:
    """One data file: what one device reads. `checksums` has one digest a chunk, in order.

    `size_bytes` is the file's length, a multiple of ALIGN_BYTES.
    """

    file: str
    size_bytes: int
    checksums: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """A small file that travels with the weights (config.json, a tokenizer's), byte for byte."""

    file: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Index:
    """All that is known of a checkpoint without reading its data.

    `digest` is over names, dtypes, shapes and values, so that it does not depend on how the source
    was cut into files. `splits` says, for a checkpoint cut for tensor parallelism, along which
    dimension each tensor was cut (None: every partition holds all of it). `hash` names the hash of
    checksums and digests.
    """

    hash: str
    digest: str
    partitions: tuple[Partition, ...]
    tensors: tuple[TensorEntry, ...]
    chunk_bytes: int = CHUNK_BYTES
    splits: Mapping[str, int | None] = field(default_factory=dict)
    carried: tuple[Carried, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def of(self, partition: int) -> tuple[TensorEntry, ...]:
        """The tensors of one partition, in the order they were written."""
        return tuple(entry for entry in self.tensors if entry.partition == partition)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all data files."""
        return sum(partition.size_bytes for partition in self.partitions)
