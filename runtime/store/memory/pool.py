"""The books of the host pool: which page of the region is free, or held under which name.

Safe for threads. It knows no clock and no usage: eviction is for whoever commands it, and what is
pinned, mapped or still loading is never taken away.
"""

import threading
import weakref
from collections import deque

from runtime.store.errors import PoolFullError, PoolRefusedError, StoreError
from runtime.store.memory.holdings import Held, Holding
from runtime.store.memory.mapped import Exporter, Mapped
from runtime.store.memory.mappings import Mapping
from runtime.store.memory.pages import PAGE_BYTES, FreePages, pages_for
from runtime.store.memory.regions import Region
from runtime.store.memory.stitching import stitch

__all__ = ["Held", "Holding", "Pool"]


class Pool:
    """Names over the pages of one region, which stays its owner's to close.

    A name is reserved (loading), committed (resident), and evicted or abandoned (gone). Every
    method is one step under one lock; refusals change nothing.
    """

    def __init__(self, region: Region) -> None:
        self.region = region
        self.total_bytes = region.size_bytes
        self._free = FreePages(region.size_bytes // PAGE_BYTES)
        self._held: dict[str, Holding] = {}
        self._lock = threading.Lock()
        # Views die at any moment, in any thread, even inside a locked step: they leave word here.
        self._unmapped: deque[Holding] = deque()

    @property
    def free_bytes(self) -> int:
        """Bytes in pages that no name holds."""
        with self._lock:
            return self._free.free * PAGE_BYTES

    @property
    def used_bytes(self) -> int:
        """Bytes in pages that names hold: whole pages count."""
        return self.total_bytes - self.free_bytes

    def names(self) -> tuple[str, ...]:
        """All that is loading or resident, in the order in which it was reserved."""
        with self._lock:
            return tuple(self._held)

    def state(self, name: str) -> Held | None:
        """Whether a name is loading or resident; None when the pool does not hold it."""
        with self._lock:
            holding = self._held.get(name)
            return None if holding is None else holding.state

    def holding(self, name: str) -> Holding:
        """What is held under a name; pin it before using its buffers. Raises PoolRefusedError."""
        with self._lock:
            return self._named(name)

    def pins(self, name: str) -> int:
        """Pins and open mappings of a name together. Raises PoolRefusedError for an unknown one."""
        with self._lock:
            holding = self._named(name)
            return holding.pins + holding.mappings

    def reserve(self, name: str, size_bytes: int) -> Holding:
        """All pages that `size_bytes` needs, at once, in as few runs as there can be; loading.

        Pages of a private region are always one run. Their bytes are whatever was there before.
        Raises PoolFullError when there are too few, PoolRefusedError for a name that is there.
        """
        if size_bytes < 0:
            raise PoolRefusedError(f"{name!r} of {size_bytes} bytes: must not be negative")
        together = not self.region.kind.shared
        with self._lock:
            self._settle()
            known = self._held.get(name)
            if known is not None:
                raise PoolRefusedError(f"{name!r} is already in the pool ({known.state})")
            runs = self._free.take(pages_for(size_bytes), together=together)
            if runs is None:
                raise PoolFullError(self._too_full(name, size_bytes))
            holding = Holding(name, size_bytes, runs, self.region)
            self._held[name] = holding
        return holding

    def commit(self, holding: Holding, *, pinned: bool = False) -> None:
        """The bytes are complete: loading becomes resident, with one pin if asked for.

        Raises PoolRefusedError unless the holding is this pool's and loading.
        """
        with self._lock:
            self._loading(holding, "committed")
            holding.state = Held.RESIDENT
            holding.pins = int(pinned)

    def abandon(self, holding: Holding) -> None:
        """Give the pages of a load that ended early back; whoever wrote to them must have stopped.

        Raises PoolRefusedError unless the holding is this pool's and loading.
        """
        with self._lock:
            self._loading(holding, "abandoned")
            self._drop(holding)

    def pin(self, name: str) -> None:
        """Keep a resident name from being evicted; counts. Raises PoolRefusedError."""
        with self._lock:
            self._resident(name, "pinned").pins += 1

    def unpin(self, name: str) -> None:
        """Take one pin back. Raises PoolRefusedError when there is none."""
        with self._lock:
            holding = self._resident(name, "unpinned")
            if not holding.pins:
                raise PoolRefusedError(f"{name!r} cannot be unpinned: it has no pin")
            holding.pins -= 1

    def evict(self, name: str) -> None:
        """Free the pages of a resident name. Raises PoolRefusedError when it is in use."""
        with self._lock:
            self._settle()
            holding = self._resident(name, "evicted")
            if holding.in_use:
                raise PoolRefusedError(
                    f"{name!r} cannot be evicted: it is in use (pins: {holding.pins}, mappings "
                    f"and what was made from them: {holding.mappings})"
                )
            self._drop(holding)
        holding.stitched = None  # unmapped here, where nobody waits for it

    def map(self, name: str, *, writable: bool = False) -> Mapping:
        """The bytes of a resident name side by side, without a copy, until the mapping is closed.

        It counts as a pin, and so does every slice, array or tensor made from its view, until the
        last of them is gone. Raises PoolRefusedError, StoreError when the region is closed.
        """
        with self._lock:
            holding = self._resident(name, "mapped")
            holding.mappings += 1
        try:
            exporter, address = self._exported(holding, writable=writable)
        except BaseException:
            self._unmapped.append(holding)
            raise
        weakref.finalize(exporter, self._unmapped.append, holding).atexit = False
        return Mapping(exporter, address, holding.size_bytes)

    def check(self) -> None:
        """Raise AssertionError unless every page is free or held by exactly one name."""
        with self._lock:
            self._settle()
            runs = [(run, "free") for run in self._free.runs()]
            runs += [(run, name) for name, held in self._held.items() for run in held.runs]
        at = 0
        for run, holder in sorted(runs):
            if run.first != at:
                raise AssertionError(f"page {min(run.first, at)}: not held once, by {holder!r}")
            at = run.end
        if at * PAGE_BYTES != self.total_bytes:
            raise AssertionError(f"page {at}: held by nobody, and not free")

    def _exported(self, holding: Holding, *, writable: bool) -> tuple[Exporter, int]:
        """The bytes of a mapped holding, and where: in the region, or stitched for as long as it is
        resident, so that only the first to map it pays."""
        if holding.contiguous:
            start = holding.runs[0].first * PAGE_BYTES if holding.runs else 0
            found = self.region.export(start, holding.size_bytes, writable=writable)
            return found, self.region.address + start
        stitched = holding.stitched
        if stitched is None:
            stitched = self._stitch(holding)
        return stitched.export(0, holding.size_bytes, writable=writable), stitched.address

    def _stitch(self, holding: Holding) -> Mapped:
        """Outside of the lock: a large model takes a while, and is pinned by its mapping."""
        if self.region.fd is None:
            raise StoreError("the memory region is closed")
        made = stitch(self.region.fd, holding.runs)
        with self._lock:
            if holding.stitched is None:
                holding.stitched = made
            return holding.stitched

    def _settle(self) -> None:
        """Count the mappings whose last view has gone since."""
        while self._unmapped:
            self._unmapped.popleft().mappings -= 1

    def _drop(self, holding: Holding) -> None:
        del self._held[holding.name]
        holding.gone = True
        self._free.give(holding.runs)

    def _named(self, name: str) -> Holding:
        self._settle()
        try:
            return self._held[name]
        except KeyError:
            raise PoolRefusedError(f"{name!r} is not in the pool") from None

    def _resident(self, name: str, what: str) -> Holding:
        holding = self._named(name)
        if holding.state is not Held.RESIDENT:
            raise PoolRefusedError(f"{name!r} cannot be {what}: it is still loading")
        return holding

    def _loading(self, holding: Holding, what: str) -> None:
        if self._held.get(holding.name) is not holding or holding.state is not Held.LOADING:
            state = "no longer in the pool" if holding.gone else str(holding.state)
            raise PoolRefusedError(f"{holding.name!r} cannot be {what}: it is {state}")

    def _too_full(self, name: str, size_bytes: int) -> str:
        """Why a name does not fit, and what would help; sizes in bytes, whole pages."""
        wanted = pages_for(size_bytes)
        needs = f"{name!r} needs {wanted * PAGE_BYTES} bytes"
        if wanted > self._free.total:
            return f"{needs}, the pool has {self.total_bytes} in all: stream it through a ring"
        free = self._free.free
        if wanted <= free:
            return (
                f"{needs} side by side in private memory, of {free * PAGE_BYTES} free at most "
                f"{self._free.longest * PAGE_BYTES} are: evict a neighbour, or use a shared region"
            )
        idle = sum(
            len(held.pages)
            for held in self._held.values()
            if held.state is Held.RESIDENT and not held.in_use
        )
        return (
            f"{needs}, {free * PAGE_BYTES} of {self.total_bytes} are free: evict "
            f"{(wanted - free) * PAGE_BYTES} ({idle * PAGE_BYTES} are resident and not in use)"
        )
