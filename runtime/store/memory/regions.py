"""One region of host memory: faulted in before use, on the best pages that the machine gives.

Shared regions are memfds, so that other processes can map them; private ones are for one process
alone. What was asked for and what the kernel gave may differ: `kind`, `huge_bytes` and `advice` say
so. Knows neither books nor checkpoints.
"""

import fcntl
import os
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import Final, Self

from runtime.store.closing import Closing
from runtime.store.errors import StoreError, UnsupportedError
from runtime.store.memory.kinds import PageKind, advice_for, huge_bytes_at, kind_of
from runtime.store.memory.machine import read_settings
from runtime.store.memory.mapped import (
    MADV_DONTDUMP,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    Exporter,
    Mapped,
    madvise,
)
from runtime.store.memory.pages import PAGE_BYTES, pages_for
from runtime.store.memory.pinning import SLICE_BYTES, CudaRuntime, Pinned, cut_at
from runtime.store.memory.population import default_threads, populate, populate_write

__all__ = ["PAGE_BYTES", "SEALS", "PageKind", "Region", "register_with_cuda"]

SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""No process may change a region's size: reading beyond a shrunk file would kill the reader."""


class Region(Closing):
    """`size_bytes` (whole pages of 2 MiB) of memory at `address`, all of it faulted in.

    `fd` is the memfd of a shared region, None of a private one. `huge_bytes` says how much lies on
    huge pages. Closing is always allowed: views that are left keep the memory, and the last one
    gives it back.
    """

    def __init__(self, mapped: Mapped, kind: PageKind, *, fd: int | None, huge_bytes: int) -> None:
        """Own a populated range and, for a shared region, its descriptor: see `create`."""
        self.kind = kind
        self.fd = fd
        self.huge_bytes = huge_bytes
        self.size_bytes = mapped.size_bytes
        self.address = mapped.address
        self._mapped: Mapped | None = mapped
        self._exporter: Exporter | None = mapped.export(0, self.size_bytes, writable=True)
        self._pinned: Pinned | None = None

    @classmethod
    def create(
        cls,
        size_bytes: int,
        *,
        shared: bool = True,
        huge: bool = True,
        threads: int | None = None,
        without: Collection[PageKind] = (),
        fault_in: Callable[[int, int], None] = populate_write,
    ) -> Self:
        """Memory of at least `size_bytes`, rounded up to whole pages of 2 MiB.

        Tries the best kind of page first and takes the next where the machine refuses: reserved
        huge pages, transparent huge pages, 4 KiB pages. `without` names kinds not to ask for, and
        huge=False asks for 4 KiB pages. `threads` fault the memory in by
        `fault_in(address, size_bytes)`; by default one per core.
        Raises StoreError where there is not enough memory, UnsupportedError where every kind is
        refused.
        """
        if size_bytes <= 0:
            raise StoreError(f"a region of {size_bytes} bytes: it needs at least 1")
        rounded = pages_for(size_bytes) * PAGE_BYTES
        refusals = []
        for kind in _kinds(shared=shared, huge=huge):
            if kind in without:
                refusals.append(f"{kind}: not wanted")
                continue
            try:
                return cls._of_kind(kind, rounded, threads or default_threads(), fault_in)
            except OSError as error:
                refusals.append(f"{kind}: {error.strerror}")
        raise UnsupportedError(
            f"a region of {rounded} bytes: this machine refuses every kind of page "
            f"({'; '.join(refusals)})"
        )

    @classmethod
    def _of_kind(
        cls,
        asked: PageKind,
        size_bytes: int,
        threads: int,
        fault_in: Callable[[int, int], None],
    ) -> Self:
        """Ask for one kind and say what came. Raises OSError where it is refused."""
        hugetlb = asked is PageKind.HUGETLB
        if not hugetlb:
            _refuse_too_much(size_bytes)
        with ExitStack() as undo:
            fd = _memfd(size_bytes, hugetlb=hugetlb) if asked.shared else None
            if fd is not None:
                undo.callback(os.close, fd)
            mapped = Mapped(size_bytes)
            mapped.place(0, size_bytes, descriptor=fd)
            _advise(mapped, asked)
            populate(mapped.address, size_bytes, threads=threads, fault_in=fault_in)
            huge_bytes = size_bytes if hugetlb else huge_bytes_at(mapped.address, size_bytes)
            kind = kind_of(
                shared=asked.shared, hugetlb=hugetlb, huge_bytes=huge_bytes, size_bytes=size_bytes
            )
            region = cls(mapped, kind, fd=fd, huge_bytes=huge_bytes)
            undo.pop_all()
        return region

    @property
    def closed(self) -> bool:
        return self._exporter is None

    @property
    def advice(self) -> str | None:
        """One line how this machine would give huge pages; None when all of it is on them."""
        return advice_for(
            self.kind,
            huge_bytes=self.huge_bytes,
            size_bytes=self.size_bytes,
            settings=read_settings(),
        )

    @property
    def pinned(self) -> bool:
        """Whether CUDA copies from and to it directly."""
        return self._pinned is not None

    @property
    def view(self) -> memoryview:
        """All of it, flat and writable. Raises StoreError once closed."""
        return self._open().view()

    def export(self, offset_bytes: int, size_bytes: int, *, writable: bool) -> Exporter:
        """A part of it whose views can be told from others'. Raises StoreError once closed."""
        self._open()
        assert self._mapped is not None
        return self._mapped.export(offset_bytes, size_bytes, writable=writable)

    def pieces(self, offset_bytes: int, size_bytes: int) -> Iterator[tuple[int, int]]:
        """A range as (offset, size) pieces that one CUDA copy may each take: all, if not pinned."""
        border = self.size_bytes if self._pinned is None else self._pinned.slice_bytes
        return cut_at(offset_bytes, size_bytes, border)

    def close(self) -> None:
        """Unpin, close the descriptor, unmap once no view is left; a second time does nothing."""
        pinned, self._pinned = self._pinned, None
        fd, self.fd = self.fd, None
        self._exporter = self._mapped = None
        try:
            if pinned is not None:
                pinned.close()
        finally:
            if fd is not None:
                os.close(fd)

    def _open(self) -> Exporter:
        if self._exporter is None:
            raise StoreError("the memory region is closed")
        return self._exporter

    def __del__(self) -> None:
        if getattr(self, "_exporter", None) is not None:
            warnings.warn(f"region of {self.size_bytes} bytes was not closed", ResourceWarning, 2)
            self.close()


def register_with_cuda(
    region: Region, cudart: CudaRuntime, *, slice_bytes: int = SLICE_BYTES
) -> None:
    """Pin a region, so that copies to a device run at the speed of the link; closing unpins it.

    `cudart` is what `torch.cuda.cudart()` returns. `slice_bytes` are whole pages. Pinning twice
    does nothing. Raises StoreError with CUDA's error number, and leaves nothing pinned.
    """
    if slice_bytes <= 0 or slice_bytes % PAGE_BYTES:
        raise StoreError(f"slice_bytes {slice_bytes}: must be a positive multiple of {PAGE_BYTES}")
    region._open()
    if region._pinned is None:
        region._pinned = Pinned(region.address, region.size_bytes, cudart, slice_bytes=slice_bytes)


def _kinds(*, shared: bool, huge: bool) -> list[PageKind]:
    """What to ask for, in turn."""
    return [kind for kind in PageKind if kind.shared == shared and (huge or not kind.huge)]


def _refuse_too_much(size_bytes: int) -> None:
    """Memory beyond what is there would not be refused: something would be killed for it."""
    available = read_settings().available_bytes
    if available is not None and size_bytes > available:
        raise StoreError(
            f"a region of {size_bytes} bytes: only {available} bytes of memory are available"
        )


def _memfd(size_bytes: int, *, hugetlb: bool) -> int:
    """A file in memory that keeps its size. Raises OSError."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    if hugetlb:
        flags |= os.MFD_HUGETLB | os.MFD_HUGE_2MB
    fd = os.memfd_create("hotbed-pool", flags)
    try:
        os.ftruncate(fd, size_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


def _advise(mapped: Mapped, asked: PageKind) -> None:
    """Say which pages are wanted, and that a core dump needs none of them. Raises OSError."""
    madvise(mapped.address, mapped.size_bytes, MADV_DONTDUMP)
    if asked is PageKind.HUGETLB:
        return
    advice = MADV_HUGEPAGE if asked.huge else MADV_NOHUGEPAGE
    try:
        madvise(mapped.address, mapped.size_bytes, advice)
    except OSError:
        if asked.huge:
            raise  # a kernel without transparent huge pages, where 4 KiB is all there is
