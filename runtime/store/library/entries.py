"""What is known of one checkpoint of a library without reading its weights."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.store.errors import StoreError
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.huggingface import ADAPTER_CONFIG, read_adapter
from runtime.store.format.index import Index
from runtime.store.format.parsing import is_checkpoint, read_index
from runtime.store.library.names import SEGMENT

#: What an index's metadata says of how it came here.
SOURCE: Final = "source"
IMPORTED_AT: Final = "imported_at"


@dataclass(frozen=True, slots=True)
class Entry:
    """One checkpoint. Sizes in bytes; `dtype` is that of most bytes, with '+' where others are.

    `rank` and `base_model` are an adapter's. `fault` is the line that says why it cannot be read:
    then the rest is empty.
    """

    name: str
    folder: Path
    kind: str = ""
    rank: int | None = None
    base_model: str | None = None
    weight_bytes: int = 0
    tensors: int = 0
    dtype: str = ""
    partitions: int = 0
    digest: str = ""
    source: str = ""
    imported_at: str = ""
    fault: str | None = None


def read_entry(name: str, folder: Path) -> Entry:
    """The entry; a checkpoint that cannot be read is one with a fault."""
    try:
        index = read_index(folder)
        adapter = None
        if (folder / ADAPTER_CONFIG).is_file():
            adapter = read_adapter(folder / ADAPTER_CONFIG)
    except StoreError as error:
        return Entry(name, folder, fault=str(error))
    return Entry(
        name=name,
        folder=folder,
        kind="base" if adapter is None else "adapter",
        rank=None if adapter is None else adapter.rank,
        base_model=None if adapter is None else adapter.base_model,
        weight_bytes=index.weight_bytes,
        tensors=len({entry.name for entry in index.tensors}),
        dtype=_dtype(index),
        partitions=len(index.partitions),
        digest=index.digest,
        source=index.metadata.get(SOURCE, ""),
        imported_at=index.metadata.get(IMPORTED_AT, ""),
    )


def _dtype(index: Index) -> str:
    sizes: Counter[str] = Counter()
    for entry in index.tensors:
        sizes[entry.dtype] += 1 + entry.elements * item_bytes(entry.dtype)
    if not sizes:
        return ""
    return sizes.most_common(1)[0][0] + ("+" if len(sizes) > 1 else "")


def checkpoint_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Every checkpoint's name and folder, in the order of the names."""
    found = []
    for one in _folders(root):
        if is_checkpoint(one):
            found.append((one.name, one))
            continue
        found += [(f"{one.name}/{two.name}", two) for two in _folders(one) if is_checkpoint(two)]
    yield from sorted(found)


def _folders(folder: Path) -> list[Path]:
    try:
        return [one for one in folder.iterdir() if SEGMENT.fullmatch(one.name) and one.is_dir()]
    except FileNotFoundError:
        return []
