"""The formats that loaders read, and which files of a folder are of one. Needs no torch."""

from pathlib import Path
from typing import Final, Literal

from runtime.store.errors import StoreError

Format = Literal["hotbed", "safetensors", "torch", "tensorizer", "flashpack", "huggingface"]
#: "huggingface": a folder with config.json and safetensors files, for a loader that builds a model.
FORMATS: Final[tuple[Format, ...]] = (
    "hotbed",
    "safetensors",
    "torch",
    "tensorizer",
    "flashpack",
    "huggingface",
)

#: What each format's files end in, where a checkpoint may be a folder of them.
SUFFIXES: Final[dict[Format, str]] = {
    "safetensors": ".safetensors",
    "torch": ".pt",
    "tensorizer": ".tensors",
    "flashpack": ".flashpack",
}


class LoaderError(StoreError):
    """A loader that cannot run here, or files that are not what it reads; one line."""


def files_of(path: Path, form: Format) -> list[Path]:
    """The file itself, or the folder's files of that format in order of their names.

    Raises LoaderError where there is none.
    """
    if not path.is_dir():
        if not path.exists():
            raise LoaderError(f"{path}: there is no such file or folder")
        return [path]
    suffix = SUFFIXES[form]
    found = sorted(one for one in path.iterdir() if one.suffix == suffix)
    if not found:
        raise LoaderError(f"{path}: no file of this folder ends in {suffix}")
    return found
