"""What every loader offers, whoever wrote it.

A loader turns a checkpoint's files into tensors. It knows nothing of benchmarks, pools of other
loaders or engines.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch

from runtime.loaders.formats import Format


class Loader(Protocol):
    """Used by one thread at a time: `prepare`, `load` as often as wanted, `close`."""

    @property
    def name(self) -> str: ...

    def missing(self) -> str | None:
        """Why it cannot run here, in one line; None where it can."""
        ...

    def formats(self) -> frozenset[Format]: ...

    def prepare(self, size_bytes: int, *, device: str) -> None:
        """What a serving process has long before it loads: imports, and memory for loads of
        `size_bytes` if this loader keeps memory of its own.
        """
        ...

    def load(self, path: Path, *, device: str) -> Mapping[str, torch.Tensor]:
        """Tensors by name, every byte in the process's memory (or the device's) on return.

        `path` is a file, or the folder that is the checkpoint. `device` is "cpu" or "cuda:N". The
        tensors may lie in memory that the loader keeps: they hold until its `close`.
        Raises whatever the loader raises for files that it cannot read.
        """
        ...

    def phases(self) -> Mapping[str, float]:
        """Seconds of the last load's parts, where the loader tells them; they may overlap."""
        ...

    def close(self) -> None:
        """Give back what `prepare` took. Twice is allowed."""
        ...
