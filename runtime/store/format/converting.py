"""Converts checkpoints: safetensors, Hugging Face, PEFT and ServerlessLLM to ours, ours back.

One tensor at a time is in memory. A target is there whole or not at all: `writing.py` and
`partials.py` see to that. It knows no device but the number to cut for.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Final

from runtime.store.errors import CorruptError, StoreError, UnsupportedError, WriteError
from runtime.store.files import DISK, Files
from runtime.store.format import huggingface, serverlessllm
from runtime.store.format.data_file import named
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.hashing import digest, hasher
from runtime.store.format.index import Index, TensorEntry
from runtime.store.format.parsing import read_index
from runtime.store.format.partials import replaced_at_once
from runtime.store.format.ranges import read_into, read_range
from runtime.store.format.safetensors import (
    Header,
    Outgoing,
    StoredTensor,
    header_bytes,
    in_file_order,
    write_file,
)
from runtime.store.format.sources import Extent, ExtentTensor, Source, contiguous_stride
from runtime.store.format.tensor_parallel import (
    LLAMA,
    Rules,
    check_heads,
    check_pieces,
    cut_source,
    joined,
)
from runtime.store.format.values import row_major
from runtime.store.format.writing import Progress, write_checkpoint

SHARD_BYTES: Final = 5_000_000_000
CONFIG: Final = "config.json"


def to_ours(
    path: Path,
    target: Path,
    *,
    devices: int = 1,
    rules: Rules = LLAMA,
    files: Files = DISK,
    replace: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Convert a folder or a .safetensors file to a checkpoint of ours, cut for `devices`.

    Raises StoreError and its kin for what cannot be read, cut or written.
    """
    source = source_of(path, files)
    if devices != 1:
        config = path / CONFIG
        if config.is_file():
            check_heads(huggingface.read_object(config), devices)
        source = cut_source(source, devices, rules)
    return write_checkpoint(source, target, files=files, replace=replace, progress=progress)


def source_of(path: Path, files: Files = DISK) -> Source:
    """What a folder or file holds, read a tensor at a time. Raises StoreError and its kin."""
    if path.is_dir() and serverlessllm.is_serverlessllm(path):
        return serverlessllm.read_source(path, files)
    weights = huggingface.read_weights(path, files)
    metadata: dict[str, str] = {}
    for header in weights.headers:
        metadata.update(header.metadata)
    stored = _all_tensors(weights.headers)
    ties = {name: kept for name, kept in metadata.items() if kept in stored and name not in stored}
    extents = [
        _extent(header, tensor, [one for one, kept in ties.items() if kept == tensor.name], files)
        for header, tensor in stored.values()
    ]
    kept = {key: value for key, value in metadata.items() if key not in ties}
    return Source([extents], carried=weights.carried, metadata=kept)


def _all_tensors(headers: Sequence[Header]) -> dict[str, tuple[Header, StoredTensor]]:
    stored: dict[str, tuple[Header, StoredTensor]] = {}
    for header in headers:
        for tensor in header.tensors:
            if tensor.name in stored:
                other = stored[tensor.name][0].path.name
                raise CorruptError(header.path, f"tensor {tensor.name!r} is in {other} too")
            stored[tensor.name] = header, tensor
    return stored


def _extent(header: Header, tensor: StoredTensor, ties: list[str], files: Files) -> Extent:
    """One stored tensor under its name and those that its file's metadata says are tied to it."""
    stride = contiguous_stride(tensor.shape)
    tensors = [
        ExtentTensor(name, tensor.dtype, tensor.shape, stride) for name in (tensor.name, *ties)
    ]
    read = partial(
        read_range,
        header.path,
        tensor.offset_bytes,
        tensor.size_bytes,
        state=header.state,
        files=files,
    )

    def pour(memory: memoryview, at: int) -> None:
        offset = tensor.offset_bytes + at
        read_into(memory, header.path, offset, state=header.state, files=files)

    return Extent(tensor.size_bytes, tuple(tensors), read, pour)


def to_safetensors(
    checkpoint: Path,
    target: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    files: Files = DISK,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Convert a checkpoint of ours to a Hugging Face folder; the names of its weight files.

    A cut checkpoint is put together. Views become contiguous; of tensors that are one, one is
    written and the others stand in the metadata under its name. A shard holds at most `shard_bytes`
    unless one tensor is larger; an adapter is one file. Raises UnsupportedError for what
    safetensors cannot hold, StoreError for a target that is there.
    """
    if shard_bytes < 1:
        raise StoreError(f"shard_bytes: {shard_bytes}; must be 1 or more")
    index = read_index(checkpoint, files)
    tensors, ties = _outgoing(checkpoint, index, files)
    header_bytes(tensors, {})  # refused before anything is written
    adapter = any(one.file == huggingface.ADAPTER_CONFIG for one in index.carried)
    shards = [tensors] if adapter else _shards(tensors, shard_bytes)
    names = _names(len(shards), adapter=adapter)
    metadata = {"format": "pt", **index.metadata, **ties}
    told = _teller(sum(one.size_bytes for one in tensors), progress)
    with named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with replaced_at_once(target, files, replace=False) as folder:
        for name, shard in zip(names, shards, strict=True):
            write_file(folder / name, shard, metadata, files=files, wrote=told)
        _write_small(checkpoint, folder, index, files)
        if len(names) > 1:
            text = _weight_map(names, shards)
            _write_bytes(folder / huggingface.SHARDS, text, files)
    return names


def _outgoing(
    checkpoint: Path, index: Index, files: Files
) -> tuple[list[Outgoing], dict[str, str]]:
    """The tensors to write in the order of a file, and for each left out the one it is."""
    by_name: dict[str, list[TensorEntry]] = {}
    for entry in index.tensors:
        by_name.setdefault(entry.name, []).append(entry)
    first: dict[object, str] = {}
    ties: dict[str, str] = {}
    found = []
    # The head goes by the embedding's name: transformers ties it to that when it loads.
    for name in sorted(by_name, key=lambda one: ("lm_head" in one, one)):
        entries = sorted(by_name[name], key=lambda one: one.partition)
        if entries[0].quantised:
            raise UnsupportedError(f"tensor {name!r}: safetensors has no quantised types of torch")
        place = tuple((e.partition, e.offset_bytes, e.shape, e.stride, e.dtype) for e in entries)
        key = place if entries[0].elements else name
        kept = first.setdefault(key, name)
        if kept != name:
            ties[name] = kept
            continue
        found.append(_one(checkpoint, index, entries, files))
    return in_file_order(found), ties


def _one(checkpoint: Path, index: Index, entries: Sequence[TensorEntry], files: Files) -> Outgoing:
    dimension = index.splits.get(entries[0].name)
    if dimension is None:
        entries = entries[:1]
    shape = list(entries[0].shape)
    if dimension is not None:
        check_pieces(checkpoint, index, entries, dimension)
        shape[dimension] *= len(entries)
    size = prod(shape) * item_bytes(entries[0].dtype)
    pieces = partial(_pieces, checkpoint, index, entries, files)
    return Outgoing(entries[0].name, entries[0].dtype, tuple(shape), size, pieces)


def _pieces(
    checkpoint: Path, index: Index, entries: Sequence[TensorEntry], files: Files
) -> Iterator[memoryview]:
    if len(entries) == 1:
        yield from _rows(checkpoint, index, entries[0], files)
        return
    dimension = index.splits[entries[0].name] or 0
    shares = [_together(_rows(checkpoint, index, one, files)) for one in entries]
    yield joined(shares, entries[0].shape, dimension)


def _rows(checkpoint: Path, index: Index, entry: TensorEntry, files: Files) -> Iterator[memoryview]:
    """The values, which are those that were written: raises CorruptError behind the last."""
    path = checkpoint / index.partitions[entry.partition].file
    data = read_range(path, entry.offset_bytes, entry.span_bytes, files=files)
    stored = ExtentTensor(entry.name, entry.dtype, entry.shape, entry.stride)
    values = hasher(index.hash)
    for piece in row_major(data, stored):
        values.update(piece)
        yield piece
    if values.hexdigest() != entry.values:
        what = f"tensor {entry.name!r} is not what was written"
        raise CorruptError(path, what, offset_bytes=entry.offset_bytes)


def _together(pieces: Iterable[memoryview]) -> memoryview:
    found = list(pieces)
    return found[0] if len(found) == 1 else memoryview(b"".join(found))


def _shards(tensors: Sequence[Outgoing], shard_bytes: int) -> list[list[Outgoing]]:
    shards: list[list[Outgoing]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + tensor.size_bytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.size_bytes
    return shards


def _names(count: int, *, adapter: bool) -> tuple[str, ...]:
    if count == 1:
        return (huggingface.ADAPTER if adapter else huggingface.MODEL,)
    return tuple(f"model-{one:05}-of-{count:05}.safetensors" for one in range(1, count + 1))


def _weight_map(names: Sequence[str], shards: Sequence[Sequence[Outgoing]]) -> bytes:
    places = {one.name: name for name, shard in zip(names, shards, strict=True) for one in shard}
    total = sum(one.size_bytes for shard in shards for one in shard)
    found = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()


def _teller(total: int, progress: Progress | None) -> Callable[[int], None]:
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    return told


def _write_small(checkpoint: Path, folder: Path, index: Index, files: Files) -> None:
    for one in index.carried:
        copy = folder / one.file
        with named(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
        data = read_range(checkpoint / one.file, 0, one.size_bytes, files=files)
        if digest(index.hash, data) != one.checksum:
            raise CorruptError(checkpoint / one.file, "its checksum is not the index's")
        _write_bytes(copy, data, files)


def _write_bytes(path: Path, data: memoryview | bytes, files: Files) -> None:
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
            files.sync_folder(path.parent)
        finally:
            files.close(descriptor)
