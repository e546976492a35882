"""The safetensors format: headers read as strictly as the reference does, and files written.

A file is 8 bytes (the header's length, little-endian), a JSON header, and the tensors' bytes one
after another without a gap. Format and rules: https://github.com/huggingface/safetensors (README
and the Rust crate's `Metadata::validate`). It knows one file; folders are `huggingface.py`'s.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, TypeGuard

from runtime.store.errors import CorruptError, TruncatedError, UnsupportedError, WriteError
from runtime.store.files import DISK, Files, FileState
from runtime.store.format.data_file import named
from runtime.store.format.ranges import read_range, state_of
from runtime.store.format.strict_json import no_constant, no_twins

LENGTH_BYTES: Final = 8
MOST_HEADER_BYTES: Final = 100_000_000
METADATA: Final = "__metadata__"
MOST: Final = 1 << 63
WRITE_BYTES: Final = 16 << 20

NAMES: Final[dict[str, str]] = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F4": "float4_e2m1fn_x2",
}
"""safetensors' names and ours. F4 counts numbers, ours bytes of two: the last dimension halves."""

BITS: Final[dict[str, int]] = {
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0"), 8),
    "F4": 4,
}
WITHOUT_OURS: Final = ("F6_E2M3", "F6_E3M2")  # torch has no such type
THEIRS: Final = {ours: theirs for theirs, ours in NAMES.items()}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file: our dtype name, `shape` in elements, `offset_bytes` in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself; `tensors` in the order of their bytes."""

    path: Path
    state: FileState
    tensors: tuple[StoredTensor, ...]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A tensor to write: `pieces` gives its row-major bytes when its turn comes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    pieces: Callable[[], Iterable[memoryview]]


def read_header(path: Path, files: Files = DISK) -> Header:
    """A file's header, checked against its size.

    Raises CorruptError or TruncatedError for what the reference refuses too (and for duplicate
    names), UnsupportedError for a data type that is not ours, ReadError.
    """
    state = state_of(path, files)
    if state.size_bytes < LENGTH_BYTES:
        raise TruncatedError(path, f"{state.size_bytes} bytes; a safetensors file has at least 8")
    length = int.from_bytes(read_range(path, 0, LENGTH_BYTES, files=files), "little")
    if length > MOST_HEADER_BYTES:
        limit = f"{MOST_HEADER_BYTES:,} are allowed"
        raise CorruptError(path, f"header of {length:,} bytes; {limit}", offset_bytes=0)
    if LENGTH_BYTES + length > state.size_bytes:
        raise TruncatedError(path, f"header of {length:,} bytes in {state.size_bytes:,} of file")
    text = bytes(read_range(path, LENGTH_BYTES, length, state=state, files=files))
    found = _decode(path, text)
    metadata = _metadata(path, found.pop(METADATA, None))
    tensors = [_tensor(path, name, row, LENGTH_BYTES + length) for name, row in found.items()]
    tensors.sort(key=lambda tensor: (tensor.offset_bytes, tensor.size_bytes))
    _check_cover(path, tensors, LENGTH_BYTES + length, state.size_bytes)
    return Header(path, state, tuple(tensors), metadata)


def _decode(path: Path, text: bytes) -> dict[str, Any]:
    if not text.startswith(b"{"):
        raise CorruptError(path, "the header does not begin with '{'", offset_bytes=LENGTH_BYTES)
    try:
        # As text: json.loads would guess UTF-16 and take a byte order mark.
        found: dict[str, Any] = json.loads(
            text.decode("utf-8"), object_pairs_hook=no_twins, parse_constant=no_constant
        )
    except (ValueError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise CorruptError(path, f"header: {why}", offset_bytes=LENGTH_BYTES) from None
    return found


def _metadata(path: Path, found: object) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise CorruptError(path, f"{METADATA}: must hold text by name", offset_bytes=LENGTH_BYTES)
    return found


def _tensor(path: Path, name: str, row: object, data_at: int) -> StoredTensor:
    def refuse(what: str) -> CorruptError:
        return CorruptError(path, f"tensor {name!r}: {what}", offset_bytes=LENGTH_BYTES)

    if not isinstance(row, dict):
        raise refuse("must be an object with dtype, shape and data_offsets")
    dtype, shape, offsets = (row.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not _whole_numbers(shape):
        raise refuse(f"shape {_short(shape)}; must be whole numbers from 0")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise refuse(f"data_offsets {_short(offsets)}; must be [begin, end]")
    if not isinstance(dtype, str) or dtype not in BITS:
        if dtype in WITHOUT_OURS:
            raise UnsupportedError(f"{path}: tensor {name!r}: torch has no type for {dtype}")
        raise refuse(f"dtype {_short(dtype)}; known are {', '.join(BITS)}")
    begin, end = offsets
    bits = prod(shape) * BITS[dtype]
    if bits != 8 * (end - begin):
        has = f"{end - begin} bytes, {dtype} {_short(shape)} takes {bits / 8:g}"
        raise refuse(has if bits < 1 << 80 else "its shape is larger than any file")
    ours = _halved(path, name, tuple(shape)) if dtype == "F4" else tuple(shape)
    return StoredTensor(name, NAMES[dtype], ours, data_at + begin, end - begin)


def _whole_numbers(found: object) -> TypeGuard[list[int]]:
    return isinstance(found, list) and all(type(one) is int and 0 <= one < MOST for one in found)


def _short(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 80 else text[:77] + "..."


def _halved(path: Path, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if not shape or shape[-1] % 2:
        raise UnsupportedError(
            f"{path}: tensor {name!r}: F4 of shape {list(shape)}; its last size must be even"
        )
    return (*shape[:-1], shape[-1] // 2)


def _check_cover(path: Path, tensors: Sequence[StoredTensor], at: int, size_bytes: int) -> None:
    """The tensors' bytes follow one another from the header to the end of the file."""
    for tensor in tensors:
        if tensor.offset_bytes != at:
            what = "overlaps the one before" if tensor.offset_bytes < at else "follows a hole"
            raise CorruptError(path, f"tensor {tensor.name!r}: {what}", offset_bytes=at)
        at += tensor.size_bytes
    if at > size_bytes:
        lost = [one.name for one in tensors if one.offset_bytes + one.size_bytes > size_bytes]
        raise TruncatedError(
            path,
            f"ends {at - size_bytes:,} bytes early, within {lost[0]!r}",
            offset_bytes=size_bytes,
        )
    if at < size_bytes:
        more = f"{size_bytes - at:,} bytes after the last tensor"
        raise CorruptError(path, more, offset_bytes=at)


def header_bytes(tensors: Sequence[Outgoing], metadata: Mapping[str, str]) -> bytes:
    """The length and the header of a file with these tensors in this order.

    Padded with spaces to 8 bytes. Raises UnsupportedError for a dtype that safetensors lacks.
    """
    rows: dict[str, object] = {METADATA: dict(metadata)} if metadata else {}
    at = 0
    for tensor in tensors:
        theirs, shape = _named(tensor)
        end = at + tensor.size_bytes
        rows[tensor.name] = {"dtype": theirs, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    if len(text) > MOST_HEADER_BYTES:
        raise UnsupportedError(f"a header of {len(text):,} bytes; safetensors allows 100,000,000")
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _named(tensor: Outgoing) -> tuple[str, list[int]]:
    if tensor.name == METADATA:
        raise UnsupportedError(f"tensor {METADATA!r}: safetensors keeps that name for itself")
    theirs = THEIRS.get(tensor.dtype)
    if theirs is None:
        raise UnsupportedError(
            f"tensor {tensor.name!r}: safetensors has no type for {tensor.dtype}; "
            f"it has {', '.join(THEIRS)}"
        )
    shape = list(tensor.shape)
    if theirs != "F4":
        return theirs, shape
    if not shape:
        raise UnsupportedError(f"tensor {tensor.name!r}: F4 needs a dimension, it has none")
    return theirs, [*shape[:-1], 2 * shape[-1]]


def in_file_order(tensors: Iterable[Outgoing]) -> list[Outgoing]:
    """As the reference writes them: widest type first, so that elements are aligned; then names."""
    return sorted(tensors, key=lambda one: (-BITS.get(THEIRS.get(one.dtype, ""), 0), one.name))


def write_file(
    path: Path,
    tensors: Sequence[Outgoing],
    metadata: Mapping[str, str],
    *,
    files: Files = DISK,
    wrote: Callable[[int], None] | None = None,
) -> None:
    """A new file, durable when this returns; `wrote` is told the bytes of each piece.

    The caller gives the folder its name afterwards. Raises UnsupportedError, WriteError,
    NoSpaceError.
    """
    start = header_bytes(tensors, metadata)
    with named(path):
        descriptor = files.create(path, direct=False)
        try:
            at = _write(path, descriptor, memoryview(start), 0, files)
            for piece in _pieces(tensors):
                at = _write(path, descriptor, piece, at, files)
                if wrote:
                    wrote(len(piece))
            files.sync(descriptor)
        finally:
            files.close(descriptor)


def _pieces(tensors: Sequence[Outgoing]) -> Iterator[memoryview]:
    for tensor in tensors:
        given = 0
        for piece in tensor.pieces():
            for begin in range(0, len(piece), WRITE_BYTES):
                yield piece[begin : begin + WRITE_BYTES]
            given += len(piece)
        assert given == tensor.size_bytes, "a tensor gives as many bytes as it said"


def _write(path: Path, descriptor: int, data: memoryview, at: int, files: Files) -> int:
    """The offset behind the data."""
    done = 0
    while done < len(data):
        count = files.pwrite(descriptor, data[done:], at + done)
        if count <= 0:
            raise WriteError(path, "nothing was written", offset_bytes=at + done)
        done += count
    return at + done
