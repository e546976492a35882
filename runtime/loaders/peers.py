"""A loader that somebody else wrote: a function that loads, and what it needs to run.

It keeps no memory of its own between loads, as these packages do not either.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from runtime.loaders.formats import Format

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Peer:
    """`modules` are imported before the first load; `load_files` takes a path and a device."""

    name: str
    reads: frozenset[Format]
    modules: tuple[str, ...]
    load_files: Callable[[Path, str], Tensors]

    def missing(self) -> str | None:
        for module in self.modules:
            package = module.partition(".")[0]
            if importlib.util.find_spec(package) is None:
                return f"the package {package} is not installed"
        return self._broken()

    def formats(self) -> frozenset[Format]:
        return self.reads

    def prepare(self, size_bytes: int, *, device: str) -> None:
        for module in self.modules:
            importlib.import_module(module)
        if device != "cpu":
            torch.empty(1, device=device)  # the context, which a serving process has

    def load(self, path: Path, *, device: str) -> Tensors:
        tensors = self.load_files(path, device)
        if device != "cpu":
            torch.cuda.synchronize(device)
        return tensors

    def phases(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        """Nothing is kept."""

    def _broken(self) -> str | None:
        """What is installed may still not import: a package of its own needs may be missing."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except (ImportError, OSError) as error:
                return f"{module} does not import: {error}"
        return None
