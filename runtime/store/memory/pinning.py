"""Memory that CUDA may copy from directly: registered slice by slice, and given back.

The CUDA runtime comes as an argument (`torch.cuda.cudart()` is one), so that no torch is needed to
import this module. A copy must not cross a border between two slices: `cut_at` says where to stop.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol

from runtime.store.errors import StoreError

SLICE_BYTES: Final = 4 << 30
"""What is registered at a time: a call takes seconds per several GiB and cannot be interrupted."""

_PORTABLE: Final = 1  # cudaHostRegisterPortable: pinned for every device of the process


class CudaRuntime(Protocol):
    """The two calls of the CUDA runtime; 0 (cudaSuccess) is what `int()` of the answer must be."""

    def cudaHostRegister(self, address: int, size_bytes: int, flags: int, /) -> Any: ...  # noqa: N802

    def cudaHostUnregister(self, address: int, /) -> Any: ...  # noqa: N802


def cut_at(offset_bytes: int, size_bytes: int, border_bytes: int) -> Iterator[tuple[int, int]]:
    """A range as (offset, size) pieces, none of which crosses a multiple of `border_bytes`."""
    end = offset_bytes + size_bytes
    while offset_bytes < end:
        stop = min(end, (offset_bytes // border_bytes + 1) * border_bytes)
        yield offset_bytes, stop - offset_bytes
        offset_bytes = stop


class Pinned:
    """A range that is registered with CUDA until it is closed."""

    def __init__(
        self,
        address: int,
        size_bytes: int,
        cudart: CudaRuntime,
        *,
        slice_bytes: int = SLICE_BYTES,
    ) -> None:
        """Register all of it, or nothing: raises StoreError with CUDA's error number."""
        self.slice_bytes = slice_bytes
        self._cudart = cudart
        self._registered: list[int] = []
        for offset, size in cut_at(0, size_bytes, slice_bytes):
            error = int(cudart.cudaHostRegister(address + offset, size, _PORTABLE))
            if error:
                self.close()
                raise StoreError(
                    f"cannot pin {size} bytes of host memory at byte {offset} of {size_bytes}: "
                    f"CUDA error {error}; a smaller pool, or a higher limit on locked memory "
                    "(ulimit -l), may help"
                )
            self._registered.append(address + offset)

    def close(self) -> None:
        """Unregister every slice; a second time does nothing. Copies must have ended."""
        failed = 0
        while self._registered:
            failed = int(self._cudart.cudaHostUnregister(self._registered.pop())) or failed
        if failed:
            raise StoreError(f"cannot unpin host memory: CUDA error {failed}")
