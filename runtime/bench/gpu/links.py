"""The ceilings of a load: what the link between host memory and a device carries at best.

Copies between one block on the device and a region of pinned host memory, in one piece, each
waited for. On a CPU the "link" is a copy between two blocks of memory.
"""

import time
from contextlib import closing
from typing import Any

import torch

from runtime.bench.gpu.decode import timed
from runtime.bench.gpu.record import Result
from runtime.store.memory.regions import Region, register_with_cuda


def link(device: torch.device, size_bytes: int) -> Result:
    """Seconds of `size_bytes` to the device and back, and of making and pinning the memory."""
    begun_at = time.perf_counter()
    with closing(Region.create(size_bytes, shared=True)) as region:
        created_at = time.perf_counter()
        if device.type == "cuda":
            cuda: Any = torch.cuda  # its runtime is untyped
            register_with_cuda(region, cuda.cudart())
        pinned_at = time.perf_counter()
        host = torch.frombuffer(region.view, dtype=torch.uint8)[:size_bytes]
        there = torch.empty(size_bytes, dtype=torch.uint8, device=device)
        return {
            "bytes": size_bytes,
            "pages": str(region.kind),
            "pinned": region.pinned,
            "create_s": created_at - begun_at,
            "pin_s": pinned_at - created_at,
            "to_device_s": timed(lambda: there.copy_(host, non_blocking=True), device),
            "to_host_s": timed(lambda: host.copy_(there, non_blocking=True), device),
        }
