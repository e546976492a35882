"""Writes a checkpoint of this machine elsewhere on it, in our format or in safetensors."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from runtime.store.errors import NoSpaceError, StoreError
from runtime.store.files import DISK
from runtime.store.format.converting import to_ours, to_safetensors
from runtime.store.format.parsing import is_checkpoint, read_index
from runtime.store.format.tensor_parallel import cut_source
from runtime.store.format.writing import INDEX_ROOM_BYTES, write_checkpoint
from runtime.store.library.own_source import source_of_ours


class Format(StrEnum):
    """What a checkpoint is converted to."""

    HOTBED = "hotbed"
    SAFETENSORS = "safetensors"


def export(
    path: Path,
    out: Path,
    to: Format,
    *,
    devices: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make `out`, which must not be there yet, from a checkpoint of ours or any that is read.

    `devices` cuts for tensor parallelism, in our format alone. Raises StoreError and its kin; a
    disk too small is refused before anything is written.
    """
    if to is Format.SAFETENSORS:
        if devices != 1:
            raise StoreError("--tensor-parallel belongs to --to hotbed: safetensors holds it whole")
        if not is_checkpoint(path):
            raise StoreError(
                f"{path}: no checkpoint of hotbed's format: import or convert it first"
            )
        _refuse_no_space(path, out)
        to_safetensors(path, out, progress=progress)
    elif is_checkpoint(path):
        source = source_of_ours(path)
        source = source if devices == 1 else cut_source(source, devices)
        write_checkpoint(source, out, progress=progress)
    else:
        to_ours(path, out, devices=devices, progress=progress)


def _refuse_no_space(path: Path, out: Path) -> None:
    need = read_index(path).weight_bytes + INDEX_ROOM_BYTES
    there = next(above for above in out.absolute().parents if above.is_dir())
    free = DISK.free_bytes(there)
    if need > free:
        raise NoSpaceError(f"{out}: needs {need:,} bytes, {free:,} are free on its disk")
