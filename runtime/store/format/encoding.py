"""An index as text and back: strict, and safe against a text that somebody made up.

The first line names the hash and the checksum of all that follows it, so that no bit of an index
can change unnoticed; the whole is JSON. It knows no folder: `parsing.py` looks at the files.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from runtime.store.errors import StoreError, UnsupportedError
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.hashing import DIGEST_BYTES, HASHES, digest
from runtime.store.format.index import (
    ALIGN_BYTES,
    INDEX_FILE,
    VERSION,
    Carried,
    Index,
    Partition,
    Quantised,
    TensorEntry,
)
from runtime.store.format.strict_json import no_constant, no_twins

FORMAT: Final = "hotbed-checkpoint"
MOST: Final = (1 << 63) - 1  # what an offset in a file can be
MOST_DIMENSIONS: Final = 64
MOST_CHUNK_BYTES: Final = 1 << 30
MOST_TENSOR_BYTES: Final = 1 << 40  # expanded tensors have more elements than bytes
SURROGATES: Final = re.compile("[\ud800-\udfff]")
HEXADECIMAL: Final = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")


class BadIndexError(StoreError):
    """The text is no index: one line that names the field, the value and what is allowed."""


def encode(index: Index) -> bytes:
    """The text of an index, its checksum first."""
    body = json.dumps(_plain(index), separators=(",", ":"), allow_nan=False).encode()[1:] + b"\n"
    return _first_line(index.hash, body) + body


def _first_line(hash_name: str, body: bytes) -> bytes:
    return f'{{"checksum":"{hash_name}:{digest(hash_name, body)}",\n'.encode()


def _plain(index: Index) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "digest": index.digest,
        "chunk_bytes": index.chunk_bytes,
        "partitions": [asdict(partition) for partition in index.partitions],
        "tensors": [_plain_tensor(entry) for entry in index.tensors],
        "splits": dict(index.splits),
        "carried": [asdict(one) for one in index.carried],
        "metadata": dict(index.metadata),
    }


def _plain_tensor(entry: TensorEntry) -> dict[str, object]:
    plain = asdict(entry)
    if entry.quantised is None:
        del plain["quantised"]
    return plain


def decode(text: bytes) -> Index:
    """The index that a text holds.

    Raises BadIndexError for a text that was changed or never was one, UnsupportedError for a
    version, hash or data type from elsewhere.
    """
    line, newline, body = text.partition(b"\n")
    hash_name, checksum = _claimed(line)
    if not newline or digest(hash_name, body) != checksum:
        raise BadIndexError("its checksum is not that of its text: it was changed or cut short")
    try:
        found = json.loads(text, object_pairs_hook=no_twins, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise BadIndexError(f"not JSON: {error}") from None
    return _index(hash_name, found)


def _claimed(line: bytes) -> tuple[str, str]:
    """The hash's name and the checksum that the first line claims."""
    words = line.removeprefix(b'{"checksum":"').removesuffix(b'",').split(b":")
    if len(words) != 2 or line != b'{"checksum":"' + b":".join(words) + b'",':
        raise BadIndexError("its first line is not a checksum: not an index of this format")
    name, checksum = (word.decode("ascii", "replace") for word in words)
    if name not in HASHES:
        raise UnsupportedError(f"hash {name[:40]!r}: here are {', '.join(HASHES)}")
    return name, checksum


def _index(hash_name: str, found: Mapping[str, Any]) -> Index:
    if found.get("format") != FORMAT:
        raise UnsupportedError(f"format is {found.get('format')!r}, expected {FORMAT!r}")
    if found.get("version") != VERSION:
        raise UnsupportedError(
            f"version {found.get('version')!r}: this hotbed reads version {VERSION}"
        )
    chunk_bytes = _whole(found, "chunk_bytes", least=ALIGN_BYTES, most=MOST_CHUNK_BYTES)
    partitions = tuple(_partition(one, chunk_bytes) for one in _list(found, "partitions"))
    tensors = tuple(_tensor(one, partitions) for one in _list(found, "tensors"))
    names = [(entry.partition, entry.name) for entry in tensors]
    if len(set(names)) != len(names):
        raise BadIndexError("tensors: a name twice in one partition")
    carried = tuple(_carried(one) for one in _list(found, "carried"))
    files = [INDEX_FILE, *(one.file for one in partitions), *(one.file for one in carried)]
    if len(set(files)) != len(files):
        raise BadIndexError("partitions and carried: a file's name twice")
    return Index(
        hash=hash_name,
        digest=_digest(found, "digest"),
        partitions=partitions,
        tensors=tensors,
        chunk_bytes=chunk_bytes,
        splits={name: _split(name, at) for name, at in _object(found, "splits").items()},
        carried=carried,
        metadata={key: _said(key, one) for key, one in _object(found, "metadata").items()},
    )


def _partition(found: object, chunk_bytes: int) -> Partition:
    row = _row(found, "partitions")
    size = _whole(row, "size_bytes")
    checksums = _list(row, "checksums")
    if size % ALIGN_BYTES:
        raise BadIndexError(f"size_bytes {size} of a partition: not a multiple of {ALIGN_BYTES}")
    if len(checksums) != -(-size // chunk_bytes):
        raise BadIndexError(
            f"{len(checksums)} checksums for {size} bytes in chunks of {chunk_bytes}"
        )
    for one in checksums:
        _hexadecimal(one, "checksums")
    return Partition(_file(row, nested=False), size, tuple(checksums))


def _tensor(found: object, partitions: tuple[Partition, ...]) -> TensorEntry:
    row = _row(found, "tensors")
    name = _text(row, "name")
    entry = TensorEntry(
        name=name,
        partition=_whole(row, "partition", most=len(partitions) - 1),
        dtype=_text(row, "dtype"),
        shape=_sizes(row, "shape"),
        stride=_sizes(row, "stride"),
        offset_bytes=_whole(row, "offset_bytes"),
        values=_digest(row, "values"),
        quantised=_quantised(row["quantised"]) if "quantised" in row else None,
    )
    if len(entry.shape) != len(entry.stride):
        raise BadIndexError(f"tensor {name!r}: {len(entry.shape)} sizes, {len(entry.stride)} steps")
    if entry.offset_bytes % item_bytes(entry.dtype):
        raise BadIndexError(f"tensor {name!r}: offset {entry.offset_bytes} splits an element")
    if entry.elements * item_bytes(entry.dtype) > MOST_TENSOR_BYTES:
        raise BadIndexError(f"tensor {name!r}: more than {MOST_TENSOR_BYTES} bytes of elements")
    size = partitions[entry.partition].size_bytes
    if entry.end_bytes > size:
        raise BadIndexError(
            f"tensor {name!r}: ends at byte {entry.end_bytes} of a partition of {size}"
        )
    return entry


def _quantised(found: object) -> Quantised:
    row = _row(found, "quantised")
    allowed = {"scheme", "scale", "zero_point", "axis", "scales", "zero_points"}
    if row.keys() - allowed:
        raise BadIndexError(f"quantised has {sorted(row.keys() - allowed)[0]!r}")
    kinds = {"scale": float, "zero_point": int, "axis": int, "scales": str, "zero_points": str}
    for key, kind in kinds.items():
        if row.get(key) is not None and type(row[key]) is not kind:
            raise BadIndexError(f"quantised.{key} is {row[key]!r}, expected {kind.__name__}")
    return Quantised(scheme=_text(row, "scheme"), **{key: row.get(key) for key in kinds})


def _carried(found: object) -> Carried:
    row = _row(found, "carried")
    return Carried(_file(row, nested=True), _whole(row, "size_bytes"), _digest(row, "checksum"))


def _file(row: Mapping[str, Any], *, nested: bool) -> str:
    return plain_name(_text(row, "file"), nested=nested)


def plain_name(name: str, *, nested: bool) -> str:
    """A file's name below the checkpoint's folder, which cannot climb out; `nested` allows folders.

    Raises BadIndexError.
    """
    parts = name.split("/")
    climbs = any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name
    if climbs or (not nested and len(parts) > 1):
        raise BadIndexError(f"file {name!r}: must be a plain name inside the checkpoint's folder")
    return name


def _split(name: str, at: object) -> int | None:
    if at is None or (type(at) is int and 0 <= at < MOST_DIMENSIONS):
        return at
    raise BadIndexError(f"splits.{name} is {at!r}, expected null or a dimension")


def _said(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadIndexError(f"metadata.{key} is {value!r}, expected text")
    return value


def _row(found: object, place: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise BadIndexError(f"{place} has {str(found)[:40]!r}, expected an object")
    return found


def _object(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    return _row(found.get(key), key)


def _list(found: Mapping[str, Any], key: str) -> list[Any]:
    value = found.get(key)
    if not isinstance(value, list):
        raise BadIndexError(f"{key} is {str(value)[:40]!r}, expected a list")
    return value


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value:
        raise BadIndexError(f"{key} is {str(value)[:40]!r}, expected text")
    if not value.isascii() and SURROGATES.search(value):
        raise BadIndexError(f"{key} is {value[:40]!r}, expected text that can be encoded")
    return value


def _whole(found: Mapping[str, Any], key: str, *, least: int = 0, most: int = MOST) -> int:
    value = found.get(key)
    if type(value) is not int or not least <= value <= most:
        raise BadIndexError(f"{key} is {str(value)[:40]}, expected {least} to {most}")
    return value


def _sizes(found: Mapping[str, Any], key: str) -> tuple[int, ...]:
    value = _list(found, key)
    if len(value) > MOST_DIMENSIONS:
        raise BadIndexError(f"{key} has {len(value)} dimensions, at most {MOST_DIMENSIONS}")
    for one in value:
        if type(one) is not int or not 0 <= one <= MOST:
            raise BadIndexError(f"{key} has {str(one)[:40]}, expected 0 to {MOST}")
    return tuple(value)


def _digest(found: Mapping[str, Any], key: str) -> str:
    return _hexadecimal(found.get(key), key)


def _hexadecimal(value: object, key: str) -> str:
    if not isinstance(value, str) or not HEXADECIMAL.fullmatch(value):
        raise BadIndexError(f"{key} is {str(value)[:40]!r}, expected 32 hexadecimal digits")
    return value
