"""Where tensors are wanted: memory on a device, and copies to it that may run on their own.

A device knows blocks of bytes; not checkpoints, pools or priorities.
"""

import ctypes
import threading
from itertools import count
from typing import Any, Protocol

import torch

from runtime.store.errors import PoolFullError, StoreError
from runtime.store.loading.tensors import block_of
from runtime.store.memory.pool import Pool
from runtime.store.memory.regions import Region, register_with_cuda


class Copied(Protocol):
    """A copy on its way."""

    def wait(self) -> None:
        """Until its bytes are on the device and its source may be used again."""
        ...


class Device(Protocol):
    """One device. `allocate` is safe for threads; one thread at a time copies."""

    @property
    def name(self) -> str: ...

    def allocate(self, size_bytes: int) -> torch.Tensor:
        """A flat uint8 tensor of whatever was there before, 256-byte aligned.

        Its memory is used again once the last tensor over it is gone. Raises StoreError.
        """
        ...

    def copy(self, block: torch.Tensor, at_bytes: int, source: memoryview) -> Copied:
        """Start a copy into a block. The source stays as it is until the copy is waited for."""
        ...

    def prepare(self, region: Region) -> None:
        """Make copies from this region fast, once: for a GPU, pin it. Raises StoreError."""
        ...


class _Done:
    def wait(self) -> None:
        """A copy that was made at once."""


class CpuDevice:
    """Host memory as a device: blocks on huge pages, faulted in before they are given out.

    With `reserved_bytes`, blocks come from memory that is set aside now and used again and again,
    as a GPU's are: a load then waits for no page fault. Without, each block is made when wanted.
    """

    name = "cpu"

    def __init__(self, reserved_bytes: int = 0) -> None:
        """Raises StoreError where there is not so much memory."""
        self._lock = threading.Lock()
        self._numbers = count()
        self._region: Region | None = None
        self._blocks: Pool | None = None
        if reserved_bytes:
            self._region = Region.create(reserved_bytes, shared=False)
            self._blocks = Pool(self._region)

    def allocate(self, size_bytes: int) -> torch.Tensor:
        if self._blocks is not None:
            return self._reserved(self._blocks, size_bytes)
        with Region.create(max(1, size_bytes), shared=False) as region:
            exporter = region.export(0, size_bytes, writable=True)
        return block_of(exporter.view())  # holds the memory beyond the region's end

    def _reserved(self, blocks: Pool, size_bytes: int) -> torch.Tensor:
        with self._lock:
            for name in blocks.names():
                if not blocks.pins(name):
                    blocks.evict(name)  # the last tensor over it has gone
            try:
                holding = blocks.reserve(f"block {next(self._numbers)}", size_bytes)
            except PoolFullError as error:
                raise StoreError(f"cpu: its reserved memory is full: {error}") from None
            blocks.commit(holding)
            with blocks.map(holding.name, writable=True) as mapping:
                return block_of(mapping.view)

    def copy(self, block: torch.Tensor, at_bytes: int, source: memoryview) -> Copied:
        # The C library's own copy: it takes no lock of the interpreter and starts no threads.
        assert at_bytes + len(source) <= len(block)
        origin = (ctypes.c_char * len(source)).from_buffer(source)
        ctypes.memmove(block.data_ptr() + at_bytes, origin, len(source))
        return _Done()

    def prepare(self, region: Region) -> None:
        """Nothing makes a copy in host memory faster."""

    def close(self) -> None:
        """Give up the reserved memory; tensors over it keep theirs."""
        region, self._region, self._blocks = self._region, None, None
        if region is not None:
            region.close()


class _OnStream:
    """A copy on a CUDA stream. Holds the source's tensor, and with it its memory, until it ends."""

    def __init__(self, event: Any, source: torch.Tensor) -> None:
        self._event = event
        self._source: torch.Tensor | None = source

    def wait(self) -> None:
        self._event.synchronize()
        self._source = None


class CudaDevice:
    """One GPU, with one stream for copies, so that they neither wait for kernels nor hold them up.

    Memory is torch's own: an engine's allocations and these come from one place.
    """

    def __init__(self, index: int = 0) -> None:
        """Raises StoreError where there is no such GPU."""
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            found = torch.cuda.device_count() if torch.cuda.is_available() else 0
            raise StoreError(f"device 'cuda:{index}': this machine has {found} CUDA devices")
        self.name = f"cuda:{index}"
        self._device = torch.device("cuda", index)
        with torch.cuda.device(self._device):
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def allocate(self, size_bytes: int) -> torch.Tensor:
        with torch.cuda.device(self._device):
            try:
                block = torch.empty(size_bytes, dtype=torch.uint8, device=self._device)
            except torch.OutOfMemoryError:
                free, total = torch.cuda.mem_get_info(self._device)
                raise StoreError(
                    f"{self.name}: {size_bytes} bytes wanted, {free} of {total} are free"
                ) from None
            # What the memory was used for may still be running on the stream it came from.
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            block.record_stream(self._stream)
        return block

    def copy(self, block: torch.Tensor, at_bytes: int, source: memoryview) -> Copied:
        origin = block_of(source)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            block[at_bytes : at_bytes + len(source)].copy_(origin, non_blocking=True)
            # blocking: a thread that waits for it sleeps
            event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            event.record(self._stream)
        return _OnStream(event, origin)

    def prepare(self, region: Region) -> None:
        with torch.cuda.device(self._device):
            cudart = torch.cuda.cudart()  # type: ignore[no-untyped-call]
            register_with_cuda(region, cudart)


def open_device(name: str) -> CpuDevice | CudaDevice:
    """ "cpu", "cuda" or "cuda:N". Raises StoreError for another, or one that is not there."""
    if name == "cpu":
        return CpuDevice()
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number.isdecimal() or name == "cuda"):
        raise StoreError(f"device {name!r}: expected 'cpu', 'cuda' or 'cuda:N'")
    return CudaDevice(int(number or 0))
