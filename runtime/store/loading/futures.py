"""One load: a future over its bytes' way from the disk or the pool to tensors on a device.

What it took it gives back, however it ends: pages, blocks, descriptors and threads. It knows no
other loads.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from runtime.store.errors import CancelledError, StoreError
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.index import Index
from runtime.store.loading.copying import CopyQueue
from runtime.store.loading.devices import Device
from runtime.store.loading.leases import Lease
from runtime.store.loading.pipeline import Delivery, Landed
from runtime.store.loading.plan import Layout
from runtime.store.loading.tensors import block_of, dtype_of, views
from runtime.store.memory.pool import Pool

Progress = Callable[[int, int], None]
"""Told the bytes that landed in host memory and those that are on the device. Called in threads of
the store: be quick. What it raises ends the load."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load's outcome. `tensors` are views of one block.

    `in_pool` says that the block is the pool's own memory: read-only by agreement, and the
    checkpoint cannot be evicted until the last of these tensors is gone. Otherwise the block is
    the load's own. `bytes_from` counts by source: "ssd", "page_cache", "dram" (the pool).
    `phases_s` are seconds, which overlap: "read", "copy", "views", "total".
    """

    tensors: dict[str, torch.Tensor]
    index: Index | None
    device: str
    in_pool: bool
    bytes_from: Mapping[str, int]
    phases_s: Mapping[str, float]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Forget the tensors. Those that somebody took stay valid, and keep the memory in use."""
        self.tensors.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load's tensors go."""

    device: Device
    copies: CopyQueue
    pool: Pool


class Load:
    """A load under way: `wait` for what it brings, or `cancel` it."""

    def __init__(
        self,
        lease: Lease,
        target: Target | None,
        *,
        own: bool,
        priority: int,
        verify: bool,
        progress: Progress | None,
    ) -> None:
        self.landed_bytes = 0
        self._lease = lease
        self._target = target
        self._own = own or not lease.stays
        self._priority = priority
        self._verify = verify
        self._progress = progress
        self._copied_bytes = 0
        self._delivery: Delivery | None = None
        self._changed = threading.Condition()
        self._telling = threading.Lock()
        self._error: StoreError | None = None
        self._loaded: Loaded | None = None
        self._began_s = time.monotonic()
        self._thread: threading.Thread | None = None

    @property
    def total_bytes(self) -> int:
        """What lands in host memory in all."""
        return sum(part.size_bytes for part in self._lease.layout.files)

    @property
    def copied_bytes(self) -> int:
        """What is on the device; stays 0 where nothing is copied."""
        delivery = self._delivery
        return self._copied_bytes if delivery is None else delivery.copied_bytes

    @property
    def done(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    def cancel(self) -> None:
        """Ask it to stop, from any thread; `wait` says when nothing of it is left."""
        self._fail(CancelledError(f"{self._lease.layout.path}: the load was cancelled"))

    def wait(self, timeout_s: float | None = None) -> Loaded:
        """Until it is over. Raises what ended it, or TimeoutError while it goes on."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise TimeoutError(f"{self._lease.layout.path}: still loading")
        if self._loaded is None:
            assert self._error is not None
            raise self._error
        return self._loaded

    def start(self, on_done: Callable[["Load"], None]) -> None:
        """Go on in a thread of its own, which tells `on_done` last."""

        def run() -> None:
            try:
                self.run()
            finally:
                on_done(self)

        self._thread = threading.Thread(target=run, name="hotbed-load", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """Load in the calling thread; never raises, `wait` does."""
        loaded: Loaded | None = None
        try:
            loaded = self._load()
        except StoreError as error:
            self._fail(error.with_traceback(None))
        except Exception as error:  # torch's own: whoever waits must hear of it
            self._fail(_as_store_error(self._lease.layout.path, error))
        finally:
            self._lease.leave(self)
        if self._delivery is not None:
            self._copied_bytes = self._delivery.copied_bytes
            self._delivery = None  # it holds the block, which is for the tensors to hold
        self._loaded = loaded

    def landed(self, landed: Landed) -> None:
        """A chunk is in host memory; in a reading thread."""
        try:
            with self._telling:
                self.landed_bytes += landed.size_bytes
            if self._delivery is not None:
                self._delivery.deliver(landed)
            else:
                landed.release()
            self._tell()
        except Exception as error:  # this load's trouble, not that of others on the same reading
            self._fail(_as_store_error(self._lease.layout.path, error))

    def changed(self) -> None:
        """The reading ended, or a copy did."""
        with self._changed:
            self._changed.notify_all()

    def _copied(self) -> None:
        try:
            self._tell()
        except Exception as error:
            self._fail(_as_store_error(self._lease.layout.path, error))
        self.changed()

    def _tell(self) -> None:
        if self._progress is not None:
            with self._telling:
                self._progress(self.landed_bytes, self.copied_bytes)

    def _fail(self, error: StoreError) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _load(self) -> Loaded:
        target = self._target
        if target is None:
            self._bring(None)
            return self._outcome({}, 0.0)
        if self._own:
            block = target.device.allocate(self._lease.layout.device_bytes)
            self._bring(
                Delivery(self._lease.layout, block, target.copies, self._priority, self._copied)
            )
            began_s = time.monotonic()
            tensors = views(block, self._lease.layout.device_tensors)
        else:
            self._bring(None)
            began_s = time.monotonic()
            tensors = _views_of_pool(target.pool, self._lease)
        return self._outcome(tensors, time.monotonic() - began_s)

    def _bring(self, delivery: Delivery | None) -> None:
        """Until all bytes are where they are wanted. Raises what went wrong first."""
        self._delivery = delivery
        try:
            self._lease.begin(self, self._priority, verify=self._verify)
            with self._changed:
                self._changed.wait_for(lambda: self._error or self._is_over())
                error = self._error or self._lease.error
                if error is None and delivery is not None:
                    error = delivery.error
        finally:
            if delivery is not None:
                delivery.end()
        if error is not None:
            raise error

    def _is_over(self) -> bool:
        if self._delivery is not None and self._delivery.error is not None:
            return True
        if not self._lease.ended:
            return False
        complete = self._delivery is None or self._delivery.complete
        return complete or self._lease.error is not None

    def _outcome(self, tensors: dict[str, torch.Tensor], views_s: float) -> Loaded:
        lease, delivery = self._lease, self._delivery
        phases_s = {"views": views_s, "total": time.monotonic() - self._began_s}
        if lease.intake is not None:
            phases_s["read"] = lease.intake.read_s
        if delivery is not None and delivery.began_s and delivery.ended_s:
            phases_s["copy"] = delivery.ended_s - delivery.began_s
        sources = {"dram": lease.layout.size_bytes}
        if lease.intake is not None:
            sources = dict(lease.intake.bytes_from)
        return Loaded(
            tensors=tensors,
            index=lease.layout.index,
            device="" if self._target is None else self._target.device.name,
            in_pool=not self._own,
            bytes_from=sources,
            phases_s=phases_s,
            metadata={} if lease.layout.index is None else lease.layout.index.metadata,
        )


def _views_of_pool(pool: Pool, lease: Lease) -> dict[str, torch.Tensor]:
    """Tensors over the pool's own pages: they count as a pin until the last of them is gone."""
    with pool.map(lease.holding.name, writable=True) as mapping:
        block = block_of(mapping.view)
    layout = lease.layout
    if not layout.unaligned:
        return views(block, layout.tensors)
    found = views(block, [one for one in layout.tensors if one.name not in layout.unaligned])
    return {
        entry.name: found[entry.name] if entry.name in found else _moved(block, layout, entry.name)
        for entry in layout.tensors
    }


def _moved(block: torch.Tensor, layout: Layout, name: str) -> torch.Tensor:
    """A copy of a tensor whose first byte splits an element: safetensors pads nothing."""
    entry = next(one for one in layout.tensors if one.name == name)
    size = item_bytes(entry.dtype) * torch.Size(entry.shape).numel()
    moved = block[entry.offset_bytes : entry.offset_bytes + size].clone()
    return torch.as_strided(moved.view(dtype_of(entry.dtype)), entry.shape, entry.stride)


def _as_store_error(path: Path, error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error.with_traceback(None)
    return StoreError(f"{path}: {type(error).__name__}: {error}")
