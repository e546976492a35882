"""Reads a whole checkpoint and compares it with what its index says, without loading it.

Every chunk's checksum; deep, also every tensor's digest and the checkpoint's own, which finds an
index that was made for other data. It reports every fault, not just the first.
"""

import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.store.errors import StoreError
from runtime.store.format.hashing import digest
from runtime.store.format.index import Index, Partition, TensorEntry
from runtime.store.format.parsing import check_file, read_index
from runtime.store.format.ranges import read_range
from runtime.store.format.sources import WholeTensor
from runtime.store.format.tensor_parallel import check_pieces, joined
from runtime.store.format.values import checkpoint_digest, value_digest, whole_tensors


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found: `faults` is empty for a checkpoint that is what was written."""

    index: Index
    read_bytes: int
    faults: tuple[str, ...]


def verify(
    folder: Path, *, deep: bool = False, progress: Callable[[int, int], None] | None = None
) -> Verified:
    """Check every byte. `progress` is told bytes done and bytes in all.

    Raises as `read_index` where there is no index to check against.
    """
    index = read_index(folder)
    done, faults = 0, list(_carried_faults(folder, index))
    for number, partition in enumerate(index.partitions):
        for size, fault in _chunk_faults(folder / partition.file, index, partition):
            done += size
            faults += [fault] if fault else []
            if progress:
                progress(done, index.weight_bytes)
        if deep:
            faults += _value_faults(folder / partition.file, index, number)
    if deep:
        faults += _digest_faults(folder, index)
    return Verified(index, done, tuple(faults))


def _chunk_faults(
    path: Path, index: Index, partition: Partition
) -> Iterator[tuple[int, str | None]]:
    """Each chunk's size, and what is wrong with it."""
    with path.open("rb", buffering=0) as file, mmap.mmap(-1, index.chunk_bytes) as buffer:
        for number, checksum in enumerate(partition.checksums):
            offset = number * index.chunk_bytes
            size = min(index.chunk_bytes, partition.size_bytes - offset)
            with memoryview(buffer)[:size] as data:
                fault = _read(file.readinto, data) or _compare(index.hash, data, checksum)
            yield size, f"{path} at byte {offset}: {fault}" if fault else None


def _read(readinto: Callable[[memoryview], int | None], data: memoryview) -> str | None:
    done = 0
    while done < len(data):
        try:
            count = readinto(data[done:])
        except OSError as error:
            return error.strerror or str(error)
        if not count:
            return f"the file ends {len(data) - done} bytes early"
        done += count
    return None


def _compare(hash_name: str, data: memoryview, checksum: str) -> str | None:
    return None if digest(hash_name, data) == checksum else "its checksum is not the index's"


def _value_faults(path: Path, index: Index, number: int) -> list[str]:
    if not index.partitions[number].size_bytes:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        with memoryview(whole) as data:
            return [
                f"{path} at byte {entry.offset_bytes}: tensor {entry.name} is not what was written"
                for entry in index.of(number)
                if value_digest(index.hash, data, entry) != entry.values
            ]


def _digest_faults(folder: Path, index: Index) -> list[str]:
    try:
        whole = dict(_uncut(folder, index))
    except StoreError as error:
        return [str(error)]
    if checkpoint_digest(index.hash, whole) == index.digest:
        return []
    return [f"{folder}: the digest over all tensors is not the index's"]


def _uncut(folder: Path, index: Index) -> Iterator[tuple[str, WholeTensor]]:
    """Every tensor as it was before it was cut for devices. Raises StoreError."""
    entries: dict[str, list[TensorEntry]] = {}
    for entry in index.tensors:
        entries.setdefault(entry.name, []).append(entry)
    for name, pieces in entries.items():
        dimension = index.splits.get(name)
        if dimension is None:
            yield from whole_tensors(pieces[:1]).items()
        else:
            check_pieces(folder, index, pieces, dimension)
            yield name, _merged(folder, index, pieces, dimension)


def _merged(
    folder: Path, index: Index, pieces: Sequence[TensorEntry], dimension: int
) -> WholeTensor:
    shares = [
        read_range(folder / index.partitions[one.partition].file, one.offset_bytes, one.span_bytes)
        for one in sorted(pieces, key=lambda one: one.partition)
    ]
    shape = list(pieces[0].shape)
    values = digest(index.hash, joined(shares, shape, dimension))
    shape[dimension] *= len(pieces)
    return WholeTensor(pieces[0].dtype, tuple(shape), values)


def _carried_faults(folder: Path, index: Index) -> Iterator[str]:
    for carried in index.carried:
        try:
            path = check_file(folder, carried.file, carried.size_bytes)
        except StoreError as error:
            yield str(error)
        else:
            if digest(index.hash, path.read_bytes()) != carried.checksum:
                yield f"{path}: its checksum is not the index's"
