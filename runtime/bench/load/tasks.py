"""What one measured process does: it makes ready, does its work once, and checks the result.

Those that only the store can do are in `store_tasks`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch

from runtime.bench.load.fingerprints import difference
from runtime.bench.load.manifests import Fingerprint
from runtime.bench.load.words import Asked, Lap
from runtime.loaders.formats import LoaderError
from runtime.loaders.registry import loader


class Task(Protocol):
    def prepare(self) -> None:
        """Everything that a running service has behind it before the work."""
        ...

    def run(self) -> list[Lap]:
        """The work that is timed."""
        ...

    def wrong(self, expected: Mapping[str, Fingerprint]) -> str | None:
        """What is not bit for bit as it was written; None where nothing is."""
        ...

    def close(self) -> None: ...


class LoadFiles:
    """One load by any loader."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._loader = loader(asked.loader)
        self._tensors: Mapping[str, torch.Tensor] = {}

    def prepare(self) -> None:
        reason = self._loader.missing()
        if reason is not None:
            raise LoaderError(f"{self._loader.name}: {reason}")
        self._loader.prepare(self._asked.weight_bytes, device=self._asked.device)
        if self._asked.warm_up is not None:
            self._loader.load(Path(self._asked.warm_up), device=self._asked.device)

    def run(self) -> list[Lap]:
        self._tensors = self._loader.load(Path(self._asked.path), device=self._asked.device)
        return [Lap(phases=self._loader.phases())]

    def wrong(self, expected: Mapping[str, Fingerprint]) -> str | None:
        return difference(self._tensors, expected)

    def close(self) -> None:
        self._tensors = {}
        self._loader.close()
