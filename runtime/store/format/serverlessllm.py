"""Reads ServerlessLLM's checkpoints: raw bytes in tensor.data_N, names in tensor_index.json.

An index row is [offset, size, shape, stride, "torch.float16"]; offsets count over all data files
one after another (sllm_store/csrc/checkpoint and sllm_store/torch.py of ServerlessLLM 0.8.0). Its
writer can lose the end of a file without an error (its issue 322), and it does not keep where in
its storage a tensor begins: both are refused here, by the tensors' names.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from runtime.store.errors import CorruptError, StoreError, TruncatedError, UnsupportedError
from runtime.store.files import DISK, Files, FileState
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.huggingface import carried_files, read_object
from runtime.store.format.ranges import read_range, state_of
from runtime.store.format.sources import Extent, ExtentTensor, Source

INDEX: Final = "tensor_index.json"
DATA: Final = re.compile(r"tensor\.data_(0|[1-9]\d{0,5})")
MOST: Final = 1 << 62
NAMED: Final = 5  # lost tensors that a refusal names


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file and where its bytes begin in the whole."""

    path: Path
    begin_bytes: int
    state: FileState


def is_serverlessllm(folder: Path) -> bool:
    """Whether the folder looks like one of theirs."""
    return (folder / INDEX).is_file()


def read_source(folder: Path, files: Files = DISK) -> Source:
    """All of a folder; tensors of one storage stay in it.

    Raises StoreError, CorruptError, TruncatedError (naming lost tensors) or UnsupportedError.
    """
    data = _data_files(folder, files)
    storages: dict[tuple[int, int], list[ExtentTensor]] = {}
    for name, row in read_object(folder / INDEX).items():
        offset, size, tensor = _tensor(folder / INDEX, name, row)
        storages.setdefault((offset, size), []).append(tensor)
    _refuse_lost(folder, storages, data)
    _refuse_overlap(folder, storages)
    extents = [
        Extent(size, tuple(tensors), partial(_read, data, offset, size, files))
        for (offset, size), tensors in sorted(storages.items())
    ]
    carried = [pair for pair in carried_files(folder) if pair[0] != INDEX]
    return Source([extents], carried=carried)


def _data_files(folder: Path, files: Files) -> list[DataFile]:
    numbers = sorted(
        int(found[1]) for one in folder.iterdir() if (found := DATA.fullmatch(one.name))
    )
    if not numbers or numbers != list(range(len(numbers))):
        raise StoreError(f"{folder}: tensor.data_0, tensor.data_1, ... expected, found {numbers}")
    data, begin = [], 0
    for number in numbers:
        path = folder / f"tensor.data_{number}"
        state = state_of(path, files)
        data.append(DataFile(path, begin, state))
        begin += state.size_bytes
    return data


def _tensor(place: Path, name: str, row: object) -> tuple[int, int, ExtentTensor]:
    """Where the storage lies in the whole, its bytes, and the tensor in it."""
    if not isinstance(row, list) or len(row) != 5:
        raise CorruptError(place, f"tensor {name!r}: must be [offset, size, shape, stride, dtype]")
    offset, size, shape, stride, dtype = row
    plain = all(type(one) is int and 0 <= one < MOST for one in (offset, size))
    if not plain or not _sizes(shape) or not _sizes(stride) or len(shape) != len(stride):
        raise CorruptError(place, f"tensor {name!r}: offset, size, shape or stride is no size")
    if not isinstance(dtype, str) or not dtype.startswith("torch."):
        raise CorruptError(place, f"tensor {name!r}: dtype {dtype!r}; must be torch's")
    item = item_bytes(dtype.removeprefix("torch."))
    span = 0
    if all(shape):
        span = item * (1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)))
    if span > size:
        raise CorruptError(place, f"tensor {name!r}: reaches over {span} bytes, stored are {size}")
    if span < size:
        raise UnsupportedError(
            f"{place}: tensor {name!r}: a view of {span} of {size} bytes; where it begins is not "
            "in ServerlessLLM's format: save a contiguous copy"
        )
    tensor = ExtentTensor(name, dtype.removeprefix("torch."), tuple(shape), tuple(stride))
    return offset, size, tensor


def _sizes(found: object) -> bool:
    return isinstance(found, list) and all(type(one) is int and 0 <= one < MOST for one in found)


def _refuse_lost(
    folder: Path, storages: dict[tuple[int, int], list[ExtentTensor]], data: list[DataFile]
) -> None:
    total = data[-1].begin_bytes + data[-1].state.size_bytes
    end = max((offset + size for offset, size in storages), default=0)
    if end <= total:
        return
    lost = [
        tensor.name
        for (offset, size), tensors in sorted(storages.items())
        for tensor in tensors
        if offset + size > total
    ]
    names = ", ".join(lost[:NAMED]) + (f" and {len(lost) - NAMED} more" if lost[NAMED:] else "")
    raise TruncatedError(
        data[-1].path,
        f"the data files hold {total:,} of {end:,} bytes; ServerlessLLM's writer lost {names}",
        offset_bytes=data[-1].state.size_bytes,
    )


def _refuse_overlap(folder: Path, storages: dict[tuple[int, int], list[ExtentTensor]]) -> None:
    end, before = 0, ""
    for (offset, size), tensors in sorted(storages.items()):
        if size and offset < end:
            both = f"{before!r} and {tensors[0].name!r}"
            raise CorruptError(folder / INDEX, f"tensors {both} overlap", offset_bytes=None)
        if size:
            end, before = offset + size, tensors[0].name


def _read(data: list[DataFile], offset: int, size: int, files: Files) -> memoryview:
    """A range of the whole, which may cross from one file into the next."""
    pieces = []
    for one in data:
        begin = max(offset, one.begin_bytes) - one.begin_bytes
        end = min(offset + size, one.begin_bytes + one.state.size_bytes) - one.begin_bytes
        if begin < end:
            pieces.append(read_range(one.path, begin, end - begin, state=one.state, files=files))
    if len(pieces) == 1:
        return pieces[0]
    whole = np.concatenate([np.empty(0, np.uint8), *(np.frombuffer(p, np.uint8) for p in pieces)])
    return memoryview(whole.tobytes())
