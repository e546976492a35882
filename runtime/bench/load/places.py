"""Where the files of one checkpoint lie, in each format, and which hold its weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.bench.measurements import Kind
from runtime.loaders.formats import Format

MANIFEST: Final = "manifest.json"
_PLACES: Final[dict[Format, str]] = {
    "hotbed": "hotbed",
    "safetensors": "huggingface",
    "huggingface": "huggingface",
    "torch": "weights.pt",
    "tensorizer": "weights.tensors",
    "flashpack": "weights.flashpack",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint's folder: `huggingface/` with its safetensors, and a file or folder a format."""

    folder: Path
    kind: Kind

    def path(self, form: Format) -> Path:
        """What a loader of the format is given."""
        return self.folder / _PLACES[form]

    def copy(self, number: int) -> Path:
        """The store's format again, for loads at the same time; copy 0 is the first itself."""
        return self.path("hotbed") if number == 0 else self.folder / f"hotbed-{number}"

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        stem = "model" if self.kind == "base" else "adapter_model"
        return self.path("huggingface") / f"{stem}.safetensors"

    @property
    def manifest(self) -> Path:
        return self.folder / MANIFEST


def files_under(paths: Iterable[Path]) -> list[Path]:
    """Every regular file of these files and folders, the largest first."""
    found: list[Path] = []
    for path in paths:
        inside = path.rglob("*") if path.is_dir() else [path]
        found += [one for one in inside if one.is_file()]
    return sorted(found, key=lambda one: -one.stat().st_size)
