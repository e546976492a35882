"""What only the store can do, as work of a measured process: loads from its pool, several loads at
once, creating a pool, importing a checkpoint. Attaching to an engine is in `attaching.py`.
"""

import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import torch

from runtime.bench.load.fingerprints import difference
from runtime.bench.load.manifests import Fingerprint
from runtime.bench.load.words import Asked, Lap
from runtime.loaders.hotbed_store import StoreLoader, phases_of
from runtime.store.errors import StoreError
from runtime.store.format.converting import to_ours
from runtime.store.memory.regions import Region

PRIVATE: Final = "hotbed_private"


class StoreTask:
    """A store whose pool holds `copies` of the checkpoint, and the tensors that the work gave.

    Blocks of the CPU come from memory kept for them, as a GPU's do.
    """

    def __init__(self, asked: Asked, *, copies: int = 1) -> None:
        self.asked = asked
        self.path = Path(asked.path)
        self.results: list[Mapping[str, torch.Tensor]] = []
        self._copies = copies
        self._loader = StoreLoader(
            asked.loader,
            frozenset({"hotbed"}),
            shared=asked.loader != PRIVATE,
            block_bytes=asked.weight_bytes,
        )

    def prepare(self) -> None:
        self._loader.prepare(self.asked.weight_bytes * self._copies, device=self.asked.device)
        if self.asked.warm_up is not None:
            self.load(Path(self.asked.warm_up))
            self.results.clear()

    def load(self, path: Path) -> Lap:
        """Cold or warm, into the pool and on to the device."""
        loaded = self._loader.store.load(path, device=self.asked.device).wait()
        self.results.append(loaded.tensors)
        return Lap(phases=phases_of(loaded))

    def attach(self, path: Path, *, copy: bool) -> Lap:
        """From the pool: into a block of the device, or as it lies."""
        device = self.asked.device if copy else "cpu"
        loaded = self._loader.store.attach(path, device=device, copy=copy)
        self.results.append(loaded.tensors)
        return Lap(phases=phases_of(loaded))

    def fetch(self) -> None:
        self._loader.store.fetch(self.path).wait()

    def wrong(self, expected: Mapping[str, Fingerprint]) -> str | None:
        found = (difference(tensors, expected) for tensors in self.results)
        return next((one for one in found if one is not None), None)

    def close(self) -> None:
        self.results.clear()
        self._loader.close()


class FromPool(StoreTask):
    """What the pool holds, on the device; `copy` False: as it lies in the pool."""

    def __init__(self, asked: Asked, *, copy: bool) -> None:
        super().__init__(asked)
        self._copy = copy

    def prepare(self) -> None:
        super().prepare()
        if self.asked.warm_up is not None:
            self.attach(Path(self.asked.warm_up), copy=self._copy)
            self.results.clear()
        self.fetch()

    def run(self) -> list[Lap]:
        return [self.attach(self.path, copy=self._copy)]


class Together(StoreTask):
    """Several checkpoints of the same size at the same time."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked, copies=len(asked.copies))

    def run(self) -> list[Lap]:
        laps: list[Lap] = []
        errors: list[StoreError] = []
        begin = time.perf_counter()

        def one(path: Path) -> None:
            try:
                lap = self.load(path)
                laps.append(Lap(time.perf_counter() - begin, lap.phases))
            except StoreError as error:
                errors.append(error)

        threads = [threading.Thread(target=one, args=(Path(path),)) for path in self.asked.copies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return laps


class Create:
    """A host pool of the checkpoint's size: what an agent does once, when it starts."""

    def __init__(self, asked: Asked) -> None:
        self._size_bytes = asked.weight_bytes
        self._region: Region | None = None

    def prepare(self) -> None:
        """Nothing is there before it."""

    def run(self) -> list[Lap]:
        self._region = Region.create(self._size_bytes)
        return [Lap()]

    def wrong(self, expected: Mapping[str, Fingerprint]) -> str | None:
        return None if self._region is not None else "there is no pool"

    def close(self) -> None:
        if self._region is not None:
            self._region.close()


class Import:
    """A Hugging Face folder into a checkpoint of the store's format, synced to the disk."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._source = Path(asked.path)
        self._target = Path(asked.target or "")

    def prepare(self) -> None:
        if self._target.exists():
            shutil.rmtree(self._target)
        if self._asked.warm_up is not None:
            to_ours(Path(self._asked.warm_up), self._target)
            shutil.rmtree(self._target)

    def run(self) -> list[Lap]:
        to_ours(self._source, self._target)
        return [Lap()]

    def wrong(self, expected: Mapping[str, Fingerprint]) -> str | None:
        with closing(StoreLoader("hotbed", frozenset({"hotbed"}))) as loader:
            loader.prepare(self._asked.weight_bytes, device="cpu")
            return difference(loader.load(self._target, device="cpu"), expected)

    def close(self) -> None:
        if self._target.exists():
            shutil.rmtree(self._target)
