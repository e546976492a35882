"""Hugging Face folders: safetensors in one file or in shards, PEFT adapters, the files beside them.

Pickled weights are never read. It knows names and JSON; the tensors' bytes are `safetensors.py`'s.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime.store.errors import CorruptError, ReadError, StoreError, UnsupportedError
from runtime.store.files import DISK, Files
from runtime.store.format.encoding import plain_name
from runtime.store.format.safetensors import Header, read_header
from runtime.store.format.strict_json import no_twins

MODEL: Final = "model.safetensors"
SHARDS: Final = "model.safetensors.index.json"
ADAPTER: Final = "adapter_model.safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
CARRIED: Final = (".json", ".txt", ".model", ".jinja", ".md", ".tiktoken", ".yaml", ".vocab")
WEIGHT_MAPS: Final = ".index.json"  # of shards that the conversion does not keep
OURS: Final = "index.json"
MOST_JSON_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Adapter:
    """A PEFT LoRA's own words: `targets` are module names, or the one pattern it gave."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    base_model: str | None


@dataclass(frozen=True, slots=True)
class Weights:
    """The safetensors files of a folder and the small files that go with them, by name."""

    headers: tuple[Header, ...]
    carried: tuple[tuple[str, Path], ...]
    adapter: Adapter | None


def read_weights(path: Path, files: Files = DISK) -> Weights:
    """A folder, or one .safetensors file alone.

    Raises StoreError for a folder without weights, UnsupportedError for pickled ones, CorruptError
    where the shards are not what their index says; else as `read_header`.
    """
    if path.is_file():
        if path.suffix in PICKLES:
            raise refuse_pickle(path)
        return Weights((read_header(path, files),), (), None)
    if not path.is_dir():
        raise StoreError(f"{path}: no such file or folder")
    carried = tuple(carried_files(path))
    if (path / ADAPTER_CONFIG).is_file():
        adapter = read_adapter(path / ADAPTER_CONFIG)
        return Weights((read_header(_weights_file(path, ADAPTER), files),), carried, adapter)
    if (path / SHARDS).is_file():
        return Weights(_shards(path, files), carried, None)
    return Weights((read_header(_weights_file(path, MODEL), files),), carried, None)


def refuse_pickle(path: Path) -> UnsupportedError:
    """Why a pickled file is not read, and what to do."""
    return UnsupportedError(
        f"{path}: is a pickle, which may run code when it is read; where you trust it, load it "
        "with transformers or PEFT and save it by save_pretrained(..., safe_serialization=True)"
    )


def _weights_file(folder: Path, name: str) -> Path:
    if (folder / name).is_file():
        return folder / name
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1 and name == MODEL:
        return found[0]
    pickles = sorted(one for one in folder.iterdir() if one.suffix in PICKLES)
    if pickles:
        raise refuse_pickle(pickles[0])
    wanted = name if name == ADAPTER else f"{MODEL} or {SHARDS}"
    raise StoreError(f"{folder}: has no {wanted}")


def _shards(folder: Path, files: Files) -> tuple[Header, ...]:
    """Every shard of the index; each tensor is where the index says, and no other is there."""
    place = folder / SHARDS
    wanted = read_object(place).get("weight_map")
    if not isinstance(wanted, dict) or not all(isinstance(one, str) for one in wanted.values()):
        raise CorruptError(place, "weight_map: must give a file's name for each tensor")
    headers = []
    for name in sorted(set(wanted.values())):
        try:
            plain_name(name, nested=False)
        except StoreError as error:
            raise CorruptError(place, f"weight_map: {error}") from None
        headers.append(read_header(folder / name, files))
    _check_map(place, wanted, headers)
    return tuple(headers)


def _check_map(place: Path, wanted: Mapping[str, str], headers: list[Header]) -> None:
    there = {(one.name, header.path.name) for header in headers for one in header.tensors}
    for name, file in sorted(wanted.items()):
        if (name, file) not in there:
            raise CorruptError(place, f"tensor {name!r} is not in {file}")
    for name, file in sorted(there - set(wanted.items())):
        raise CorruptError(place, f"tensor {name!r} of {file} is not in weight_map")


def carried_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Configuration, tokenizer and the like, by their names under the folder; hidden ones stay."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        if path.suffix not in CARRIED or path.name.endswith(WEIGHT_MAPS) or str(name) == OURS:
            continue
        yield name.as_posix(), path


def read_adapter(path: Path) -> Adapter:
    """What an adapter_config.json says of a LoRA. Raises CorruptError or UnsupportedError."""
    found = read_object(path)
    kind = found.get("peft_type", "LORA")
    if kind != "LORA":
        raise UnsupportedError(f"{path}: peft_type {kind!r}; must be 'LORA'")
    rank, alpha, targets = (found.get(key) for key in ("r", "lora_alpha", "target_modules"))
    if type(rank) is not int or rank < 1:
        raise CorruptError(path, f"r: {rank!r}; must be a whole number from 1")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise CorruptError(path, f"lora_alpha: {alpha!r}; must be a number")
    if isinstance(targets, str):
        targets = [targets]
    if not isinstance(targets, list) or not all(isinstance(one, str) for one in targets):
        raise CorruptError(path, f"target_modules: {targets!r}; must be names or one pattern")
    base = found.get("base_model_name_or_path")
    return Adapter(rank, float(alpha), tuple(targets), base if isinstance(base, str) else None)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object of a file. Raises ReadError or CorruptError."""
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise CorruptError(path, f"is larger than {MOST_JSON_BYTES:,} bytes")
        found = json.loads(path.read_text("utf-8"), object_pairs_hook=no_twins)
    except CorruptError:
        raise
    except OSError as error:
        raise ReadError(path, error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:
        raise CorruptError(path, f"is not JSON: {str(error)[:80]}") from None
    if not isinstance(found, dict):
        raise CorruptError(path, "must be a JSON object")
    return found
