"""A checkpoint of ours as something to write again, its values checked as they are read."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from runtime.store.errors import CorruptError, UnsupportedError
from runtime.store.format.hashing import digest
from runtime.store.format.index import Index, TensorEntry
from runtime.store.format.parsing import read_index
from runtime.store.format.ranges import read_range
from runtime.store.format.sources import Extent, ExtentTensor, Source
from runtime.store.format.values import value_digest


def source_of_ours(folder: Path) -> Source:
    """Of an uncut checkpoint. Raises as `read_index`, CorruptError for a carried file that changed,
    UnsupportedError for one that is cut.
    """
    index = read_index(folder)
    if index.splits:
        raise UnsupportedError(
            f"{folder}: is cut for {len(index.partitions)} devices; convert it to safetensors, "
            "which puts it together, and import that"
        )
    for one in index.carried:
        if digest(index.hash, (folder / one.file).read_bytes()) != one.checksum:
            raise CorruptError(folder / one.file, "its checksum is not the index's")
    partitions = [
        [_extent(folder, index, entries) for entries in _together(index.of(number))]
        for number in range(len(index.partitions))
    ]
    carried = [(one.file, folder / one.file) for one in index.carried]
    return Source(partitions, carried=carried, metadata=index.metadata)


def _together(entries: Sequence[TensorEntry]) -> Iterator[list[TensorEntry]]:
    """Tensors that share bytes, in the order of the file."""
    group: list[TensorEntry] = []
    for entry in sorted(entries, key=lambda one: (one.offset_bytes, one.span_bytes)):
        if group and entry.offset_bytes >= max(one.end_bytes for one in group):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _extent(folder: Path, index: Index, entries: Sequence[TensorEntry]) -> Extent:
    path = folder / index.partitions[entries[0].partition].file
    start = min(entry.offset_bytes for entry in entries)
    size = max(entry.end_bytes for entry in entries) - start
    tensors = tuple(
        ExtentTensor(
            name=entry.name,
            dtype=entry.dtype,
            shape=entry.shape,
            stride=entry.stride,
            offset_bytes=entry.offset_bytes - start,
            quantised=entry.quantised,
        )
        for entry in entries
    )
    values = tuple(entry.values for entry in entries)
    read = partial(_read, path, (start, size), index.hash, tuple(zip(tensors, values, strict=True)))
    return Extent(size, tensors, read)


def _read(
    path: Path,
    place: tuple[int, int],
    hash_name: str,
    wanted: Sequence[tuple[ExtentTensor, str]],
) -> memoryview:
    start, size = place
    data = read_range(path, start, size)
    for tensor, values in wanted:
        if value_digest(hash_name, data, tensor) != values:
            what = f"tensor {tensor.name!r} is not what was written"
            raise CorruptError(path, what, offset_bytes=start + tensor.offset_bytes)
    return data
