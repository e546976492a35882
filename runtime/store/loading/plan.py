"""Which bytes of which files lie where in the pool, and which of them go where on a device.

Values only: no torch, no threads, no pages. A layout's files lie one behind another in host memory,
each from a block border on, byte for byte as on the disk.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from runtime.store.errors import StoreError
from runtime.store.files import DISK, Files
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.huggingface import read_weights
from runtime.store.format.index import (
    ALIGN_BYTES,
    CHUNK_BYTES,
    INDEX_FILE,
    SMALL_ALIGN_BYTES,
    Index,
    TensorEntry,
)
from runtime.store.format.layout import rounded
from runtime.store.format.parsing import is_checkpoint, read_index
from runtime.store.format.safetensors import Header
from runtime.store.format.sources import ExtentTensor, contiguous_stride

Entry = ExtentTensor | TensorEntry


@dataclass(frozen=True, slots=True)
class FilePart:
    """A whole file; its first byte lies at `offset_bytes` of the layout, a multiple of a block."""

    path: Path
    size_bytes: int
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes that stay side by side on the way from the layout to a device."""

    host_bytes: int
    device_bytes: int
    size_bytes: int

    @property
    def host_end(self) -> int:
        return self.host_bytes + self.size_bytes


@dataclass(frozen=True)
class Layout:
    """One load: `files` in host memory, `tensors` in them, and `runs` that a device gets of it.

    `tensors` count their offsets in the layout, `device_tensors` in the device's block. `index` and
    `partition` are there for our own format; safetensors files carry no checksums. `stamp` tells
    one version of the files from another.
    """

    path: Path
    partition: int
    files: tuple[FilePart, ...]
    size_bytes: int
    chunk_bytes: int
    tensors: tuple[Entry, ...]
    runs: tuple[Run, ...]
    device_tensors: tuple[Entry, ...]
    stamp: tuple[int, ...]
    index: Index | None = None

    @cached_property
    def device_bytes(self) -> int:
        """The size of the device's block, whole multiples of what GPU kernels want."""
        return rounded(max((r.device_bytes + r.size_bytes for r in self.runs), default=0), 256)

    @cached_property
    def run_bytes(self) -> int:
        """What goes to a device, without the room between the runs."""
        return sum(run.size_bytes for run in self.runs)

    @cached_property
    def unaligned(self) -> frozenset[str]:
        """The tensors whose bytes in the pool split an element: no view of them can be."""
        return frozenset(
            entry.name for entry in self.tensors if entry.offset_bytes % item_bytes(entry.dtype)
        )


def layout_of(path: Path, partition: int = 0, files: Files = DISK) -> Layout:
    """Of a checkpoint's folder, a Hugging Face folder, or one safetensors file.

    Raises StoreError: as `read_index` and `read_weights`, or for a partition that is not there.
    """
    stamp = stamp_of(path)
    if is_checkpoint(path):
        return checkpoint_layout(path, read_index(path, files), partition, stamp)
    if partition:
        raise StoreError(f"{path}: partition {partition}; safetensors files have one, 0")
    return safetensors_layout(path, read_weights(path, files).headers, stamp)


def stamp_of(path: Path) -> tuple[int, ...]:
    """Changes when the checkpoint is replaced; empty where nothing is there. Quick: one stat(2)."""
    try:
        try:
            found = os.stat(path / INDEX_FILE)
        except NotADirectoryError:
            found = os.stat(path)
        except FileNotFoundError:
            found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def checkpoint_layout(
    folder: Path, index: Index, partition: int, stamp: tuple[int, ...] = ()
) -> Layout:
    """One partition of a checkpoint: a device's block looks like its file."""
    if not 0 <= partition < len(index.partitions):
        raise StoreError(f"{folder}: partition {partition}; it has {len(index.partitions)}")
    part = index.partitions[partition]
    tensors = index.of(partition)
    runs = (Run(0, 0, part.size_bytes),) if part.size_bytes else ()
    return Layout(
        folder,
        partition,
        (FilePart(folder / part.file, part.size_bytes, 0),),
        part.size_bytes,
        index.chunk_bytes,
        tensors,
        runs,
        tensors,
        stamp,
        index,
    )


def safetensors_layout(
    path: Path, headers: Sequence[Header], stamp: tuple[int, ...] = ()
) -> Layout:
    """Whole files, headers and all; on a device each tensor begins at a multiple of 256 bytes."""
    parts: list[FilePart] = []
    tensors: list[ExtentTensor] = []
    end = 0
    for header in headers:
        parts.append(FilePart(header.path, header.state.size_bytes, end))
        tensors += [
            ExtentTensor(
                one.name, one.dtype, one.shape, contiguous_stride(one.shape), end + one.offset_bytes
            )
            for one in header.tensors
        ]
        end += rounded(header.state.size_bytes, ALIGN_BYTES)
    sizes = [one.size_bytes for header in headers for one in header.tensors]
    runs, placed = _packed(tensors, sizes)
    return Layout(
        path, 0, tuple(parts), end, CHUNK_BYTES, tuple(tensors), tuple(runs), tuple(placed), stamp
    )


def _packed(
    tensors: Sequence[ExtentTensor], sizes: Sequence[int]
) -> tuple[list[Run], list[ExtentTensor]]:
    """Runs of neighbours that all stay aligned together, and the tensors on the device.

    Models whose tensors are whole multiples of 256 bytes, as most are, make one run a file.
    """
    runs: list[Run] = []
    placed: list[ExtentTensor] = []
    for tensor, size in zip(tensors, sizes, strict=True):
        last = runs[-1] if runs else None
        if (
            last
            and last.host_end == tensor.offset_bytes
            and last.size_bytes % SMALL_ALIGN_BYTES == 0
        ):
            at = last.device_bytes + last.size_bytes
            runs[-1] = replace(last, size_bytes=last.size_bytes + size)
        else:
            at = rounded(last.device_bytes + last.size_bytes, SMALL_ALIGN_BYTES) if last else 0
            runs.append(Run(tensor.offset_bytes, at, size))
        placed.append(replace(tensor, offset_bytes=at))
    return [run for run in runs if run.size_bytes], placed


def pieces(runs: Iterable[Run], offset_bytes: int, size_bytes: int) -> Iterator[Run]:
    """What of the runs lies in a range of the layout."""
    end = offset_bytes + size_bytes
    for run in runs:
        first, last = max(run.host_bytes, offset_bytes), min(run.host_end, end)
        if first < last:
            yield Run(first, run.device_bytes + first - run.host_bytes, last - first)


def name_of(path: Path, partition: int = 0) -> str:
    """What a checkpoint is called in the pool: its absolute path, and the partition if not 0."""
    found = os.path.abspath(path)
    return f"{found}#{partition}" if partition else found
