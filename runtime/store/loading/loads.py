"""The store: loads of checkpoints from one machine's disk and host pool to its devices.

Several loads share the disk and each device's link by priority, and those of one checkpoint its
reading.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from runtime.store.errors import StoreError
from runtime.store.files import DISK, Files
from runtime.store.loading.copying import CopyQueue
from runtime.store.loading.devices import Device, open_device
from runtime.store.loading.futures import Load, Loaded, Progress, Target
from runtime.store.loading.leases import Leases
from runtime.store.loading.pipeline import RING_BYTES
from runtime.store.memory.pool import Pool
from runtime.store.reading.disk_queue import DiskQueue

__all__ = ["Load", "Loaded", "Progress", "Store"]


class Store:
    """Checkpoints of one machine's disk and host pool, as tensors on its devices."""

    def __init__(
        self,
        pool: Pool,
        queue: DiskQueue | None = None,
        *,
        files: Files = DISK,
        devices: Mapping[str, Device] | None = None,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        """`pool` stays its owner's, and so do a `queue` and `devices` that are given.

        Devices that are not given are opened when first named. `ring_bytes` is how much of the
        pool a load takes that does not stay there.
        """
        self.pool = pool
        self._queue = queue or DiskQueue()
        self._own_queue = queue is None
        self._leases = Leases(pool, self._queue, files, ring_bytes=ring_bytes)
        self._devices = dict(devices or {})
        self._targets: dict[str, Target] = {}
        self._loads: set[Load] = set()
        self._lock = threading.Lock()
        self._closed = False

    def load(
        self,
        path: Path,
        *,
        device: str = "cpu",
        partition: int = 0,
        keep: bool = True,
        copy: bool = False,
        priority: int = 0,
        verify: bool = True,
        progress: Progress | None = None,
    ) -> Load:
        """Tensors of a checkpoint's folder, a Hugging Face folder or a safetensors file.

        `keep` leaves the bytes in the pool, else they pass through a ring of its pages, as those of
        a model larger than the pool do anyhow. On "cpu", what is kept is seen in the pool without a
        copy, unless `copy` asks for a block of its own; other devices always get one. Checksums are
        checked on the way from the disk, unless not `verify`. Higher priorities go first.
        Raises StoreError at once for a path that is no checkpoint, a device that is not there, or
        pages that are not free; what goes wrong later, `Load.wait` raises.
        """
        target = self._target(device)
        lease = self._leases.take(path, partition, keep=keep)
        own = copy or not keep or target.device.name != "cpu"
        load = Load(lease, target, own=own, priority=priority, verify=verify, progress=progress)
        return self._begun(load)

    def fetch(
        self,
        path: Path,
        *,
        partition: int = 0,
        priority: int = 0,
        verify: bool = True,
        progress: Progress | None = None,
    ) -> Load:
        """Into the pool only: what the load brings has no tensors. Raises as `load`."""
        lease = self._leases.take(path, partition, keep=True)
        load = Load(lease, None, own=False, priority=priority, verify=verify, progress=progress)
        return self._begun(load)

    def attach(
        self,
        path: Path,
        *,
        device: str = "cpu",
        partition: int = 0,
        copy: bool = False,
        priority: int = 0,
    ) -> Loaded:
        """Tensors of what is in the pool, in the calling thread; the disk is not touched.

        Raises PoolRefusedError where it is not in the pool, StoreError.
        """
        target = self._target(device)
        lease = self._leases.resident(path, partition)
        own = copy or target.device.name != "cpu"
        load = Load(lease, target, own=own, priority=priority, verify=False, progress=None)
        load.run()
        return load.wait()

    def open(self, device: str) -> None:
        """Make a device ready before the first load to it: pinning the pool takes a GPU seconds.

        Raises StoreError as `load`.
        """
        self._target(device)

    def close(self) -> None:
        """Cancel what is under way, wait for it, and end the threads. Twice is allowed."""
        with self._lock:
            self._closed = True
            loads = list(self._loads)
            targets, self._targets = self._targets, {}
        for load in loads:
            load.cancel()
        for load in loads:
            try:
                load.wait()
            except StoreError:
                pass  # whoever started it hears of it
        for target in targets.values():
            target.copies.close()
        if self._own_queue:
            self._queue.close()

    def _begun(self, load: Load) -> Load:
        with self._lock:
            if not self._closed:
                self._loads.add(load)
                load.start(self._over)
                return load
        load.cancel()
        load.run()  # gives its claim up
        raise StoreError("the store is closed")

    def _over(self, load: Load) -> None:
        with self._lock:
            self._loads.discard(load)

    def _target(self, name: str) -> Target:
        name = "cuda:0" if name == "cuda" else name
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            found = self._targets.get(name)
            if found is None:
                device = self._devices.get(name) or open_device(name)
                device.prepare(self.pool.region)
                found = Target(device, CopyQueue(device), self.pool)
                self._targets[name] = found
            return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
