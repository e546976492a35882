"""What a checkpoint's folder holds whole, and how to know each of its tensors."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from runtime.bench.load.places import Place
from runtime.store.errors import CorruptError

VERSION: Final = 1

#: dtype, shape and a digest of the elements in row-major order
Fingerprint = list[object]


@dataclass(frozen=True, slots=True)
class Manifest:
    """`formats` are whole on the disk, with `copies` further ones of the store's own."""

    seed: int
    formats: tuple[str, ...]
    copies: int
    tensors: Mapping[str, Fingerprint]


def read_manifest(place: Place) -> Manifest | None:
    """None where there is none, or one of another version. Raises CorruptError."""
    if not place.manifest.exists():
        return None
    try:
        found = json.loads(place.manifest.read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            return None
        return Manifest(found["seed"], tuple(found["formats"]), found["copies"], found["tensors"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(place.manifest, f"no manifest ({error}); remove the folder") from None


def write_manifest(place: Place, manifest: Manifest) -> None:
    text = json.dumps({"version": VERSION, **asdict(manifest)})
    partial = place.manifest.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(place.manifest)
