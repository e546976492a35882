"""This project's store as a loader: its own format, and safetensors files as they are.

The host pool is made in `prepare`, as large as asked; tensors on the CPU are views of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from runtime.loaders.formats import Format, LoaderError
from runtime.store.errors import PoolFullError, PoolRefusedError
from runtime.store.loading.devices import CpuDevice
from runtime.store.loading.loads import Loaded, Store
from runtime.store.memory.pool import Pool
from runtime.store.memory.regions import Region

SPARE_BYTES: Final = 64 << 20  # padding, headers, and a small checkpoint beside the one asked for


class StoreLoader:
    """`shared`: the pool is memory that other processes can map, else this process's alone, which
    huge pages are easier to have for. `block_bytes`: memory kept for copies on the CPU.
    """

    def __init__(
        self, name: str, reads: frozenset[Format], *, shared: bool = True, block_bytes: int = 0
    ) -> None:
        self.name = name
        self._reads = reads
        self._shared = shared
        self._block_bytes = block_bytes
        self._region: Region | None = None
        self._blocks: CpuDevice | None = None
        self._store: Store | None = None
        self._phases: Mapping[str, float] = {}

    @property
    def store(self) -> Store:
        """Raises LoaderError before `prepare` and after `close`."""
        if self._store is None:
            raise LoaderError(f"{self.name}: prepare it with the size of the pool first")
        return self._store

    def missing(self) -> str | None:
        return None

    def formats(self) -> frozenset[Format]:
        return self._reads

    def prepare(self, size_bytes: int, *, device: str) -> None:
        self.close()
        self._region = Region.create(size_bytes + SPARE_BYTES, shared=self._shared)
        devices = {}
        if device == "cpu" and self._block_bytes:
            self._blocks = CpuDevice(self._block_bytes + SPARE_BYTES)
            devices["cpu"] = self._blocks
        self._store = Store(Pool(self._region), devices=devices)

    def load(self, path: Path, *, device: str) -> Mapping[str, torch.Tensor]:
        """What is in the pool is not read again; what nobody uses makes room."""
        try:
            loaded = self.store.load(path, device=device).wait()
        except PoolFullError:
            self._make_room()
            loaded = self.store.load(path, device=device).wait()
        self._phases = phases_of(loaded)
        return loaded.tensors

    def phases(self) -> Mapping[str, float]:
        return self._phases

    def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
        blocks, self._blocks = self._blocks, None
        if blocks is not None:
            blocks.close()
        region, self._region = self._region, None
        if region is not None:
            region.close()

    def _make_room(self) -> None:
        pool = self.store.pool
        for name in pool.names():
            try:
                pool.evict(name)
            except PoolRefusedError:
                continue  # it is loading, or somebody has tensors of it


def phases_of(loaded: Loaded) -> dict[str, float]:
    """Seconds of a load's parts, without the whole."""
    return {name: each for name, each in loaded.phases_s.items() if name != "total"}
