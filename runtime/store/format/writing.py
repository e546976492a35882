"""Writes a checkpoint: all of it, under its name, durable; or nothing.

Bytes are read a piece at a time and written by threads, so memory stays at a few chunks and one
tensor. It knows no format but ours: what is written comes as a Source.
"""

from collections.abc import Callable
from math import prod
from pathlib import Path

from runtime.store.errors import NoSpaceError, ReadError, WriteError
from runtime.store.files import DISK, Files
from runtime.store.format.data_file import DataFile, named
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.encoding import decode, encode, plain_name
from runtime.store.format.hashing import DEFAULT_HASH, digest, hasher
from runtime.store.format.index import (
    CHUNK_BYTES,
    INDEX_FILE,
    Carried,
    Index,
    Partition,
    TensorEntry,
)
from runtime.store.format.layout import place
from runtime.store.format.partials import replaced_at_once
from runtime.store.format.sources import Extent, ExtentTensor, Source
from runtime.store.format.values import (
    checkpoint_digest,
    is_row_major,
    value_digest,
    whole_tensors,
)

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""

INDEX_ROOM_BYTES = 64 << 20  # beside the data: the index and the carried files


def write_checkpoint(
    source: Source,
    target: Path,
    *,
    files: Files = DISK,
    replace: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
    progress: Progress | None = None,
) -> Index:
    """Make the folder `target` hold the source, and give its index.

    Raises StoreError for a target that is there (unless `replace`), NoSpaceError before or while
    the disk fills up, WriteError where it fails: then the target is as it was.
    """
    with named(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_too_large(source, target, files)
    with replaced_at_once(target, files, replace=replace) as folder:
        index = _Writer(source, folder, files, chunk_bytes, progress).write()
        text = encode(index)
        decode(text)  # what no reader would take is not left behind
        _write_file(folder / INDEX_FILE, text, files)
    return index


def _refuse_too_large(source: Source, target: Path, files: Files) -> None:
    need = sum(place(extents)[1] for extents in source.partitions)
    need += sum(path.stat().st_size for _, path in source.carried if path.is_file())
    free = files.free_bytes(target.parent)
    if need + INDEX_ROOM_BYTES > free:
        raise NoSpaceError(
            f"{target}: needs {need + INDEX_ROOM_BYTES:,} bytes, {free:,} are free on its disk"
        )


class _Writer:
    """One source on its way into one folder."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        files: Files,
        chunk_bytes: int,
        progress: Progress | None,
    ) -> None:
        self._source = source
        self._folder = folder
        self._files = files
        self._chunk = chunk_bytes
        self._progress = progress
        self._done = 0

    def write(self) -> Index:
        tensors: list[TensorEntry] = []
        partitions = [
            self._partition(number, tensors) for number in range(len(self._source.partitions))
        ]
        carried = [self._carry(name, path) for name, path in self._source.carried]
        whole = self._source.whole() if self._source.whole else whole_tensors(tensors)
        return Index(
            hash=DEFAULT_HASH,
            digest=checkpoint_digest(DEFAULT_HASH, whole),
            partitions=tuple(partitions),
            tensors=tuple(tensors),
            chunk_bytes=self._chunk,
            splits=dict(self._source.splits),
            carried=tuple(carried),
            metadata=dict(self._source.metadata),
        )

    def _partition(self, number: int, tensors: list[TensorEntry]) -> Partition:
        extents = self._source.partitions[number]
        offsets, size = place(extents)
        name = f"data-{number}.bin"
        file = DataFile(
            self._folder / name,
            size,
            chunk_bytes=self._chunk,
            hash_name=DEFAULT_HASH,
            files=self._files,
        )
        with file:
            for extent, offset in zip(extents, offsets, strict=True):
                tensors.extend(self._extent(number, extent, offset, file))
            return Partition(name, size, file.finish())

    def _extent(
        self, number: int, extent: Extent, offset: int, file: DataFile
    ) -> list[TensorEntry]:
        digests = self._poured(extent, offset, file) or self._put(extent, offset, file)
        return [
            TensorEntry(
                name=tensor.name,
                partition=number,
                dtype=tensor.dtype,
                shape=tensor.shape,
                stride=tensor.stride,
                offset_bytes=offset + tensor.offset_bytes,
                values=values,
                quantised=tensor.quantised,
            )
            for tensor, values in zip(extent.tensors, digests, strict=True)
        ]

    def _poured(self, extent: Extent, offset: int, file: DataFile) -> list[str]:
        """Straight into the file's buffers, where the extent is nothing but its tensors' values.

        Memory that is made for a tensor and thrown away costs more than reading it. Gives the
        tensors' digests; nothing where that cannot be.
        """
        pour = extent.pour
        if pour is None or not all(_is_whole(tensor, extent) for tensor in extent.tensors):
            return []
        values = hasher(DEFAULT_HASH)

        def fill(memory: memoryview, at: int) -> None:
            pour(memory, at)
            values.update(memory)
            self._tell(len(memory))

        file.pour(offset, extent.size_bytes, fill)
        return [values.hexdigest()] * len(extent.tensors)

    def _put(self, extent: Extent, offset: int, file: DataFile) -> list[str]:
        data = extent.read()
        assert len(data) == extent.size_bytes, "a source gives as many bytes as it said"
        file.put(offset, data)
        self._tell(len(data))
        return [value_digest(DEFAULT_HASH, data, tensor) for tensor in extent.tensors]

    def _tell(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, self._source.size_bytes)

    def _carry(self, name: str, path: Path) -> Carried:
        plain_name(name, nested=True)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ReadError(path, error.strerror or str(error)) from None
        copy = self._folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        _write_file(copy, data, self._files)
        with named(copy):
            for folder in Path(name).parents:
                self._files.sync_folder(self._folder / folder)
        return Carried(name, len(data), digest(DEFAULT_HASH, data))


def _is_whole(tensor: ExtentTensor, extent: Extent) -> bool:
    """Whether the extent's bytes are the tensor's elements in row-major order."""
    size = prod(tensor.shape) * item_bytes(tensor.dtype)
    return size == extent.size_bytes and is_row_major(tensor.shape, tensor.stride)


def _write_file(path: Path, data: bytes, files: Files) -> None:
    """A small file, whole and durable."""
    with named(path):
        descriptor = files.create(path, direct=False)
        try:
            done = 0
            while done < len(data):
                count = files.pwrite(descriptor, data[done:], done)
                if count <= 0:
                    raise WriteError(path, "nothing was written", offset_bytes=done)
                done += count
            files.sync(descriptor)
        finally:
            files.close(descriptor)
