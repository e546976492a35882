"""Who wants which checkpoint in host memory: what is there is pinned, what is not is read once.

Loads that want the same checkpoint at the same time share one reading. A lease is one load's claim;
when the last claim on something unfinished goes, its reading stops and its pages are free again.
"""

import threading
from itertools import count
from pathlib import Path

from runtime.store.errors import (
    CancelledError,
    ChangedError,
    CorruptError,
    PoolRefusedError,
    StoreError,
)
from runtime.store.files import Files
from runtime.store.loading.pipeline import RING_BYTES, Intake, Listener, Ring, Whole, resident
from runtime.store.loading.plan import Layout, layout_of, name_of, stamp_of
from runtime.store.memory.pool import Held, Holding, Pool
from runtime.store.reading.disk_queue import DiskQueue

RESIDENT_CHUNKS = 4
"""Chunks at a time of what is in host memory: nothing waits for the disk, and a copy costs time
to start; more would keep an urgent load waiting for the link."""


class Lease:
    """A claim on a layout's bytes: all in the pool and pinned, or on their way.

    `intake` is None for what was there already.
    """

    def __init__(
        self, owner: "Leases", layout: Layout, holding: Holding, intake: Intake | None
    ) -> None:
        self.layout = layout
        self.holding = holding
        self.intake = intake
        self._owner = owner

    @property
    def stays(self) -> bool:
        """Whether all of it is in the pool at the end; else it passes through a ring."""
        return self.intake is None or isinstance(self.intake.shelf, Whole)

    @property
    def ended(self) -> bool:
        return self.intake is None or self.intake.ended

    @property
    def error(self) -> StoreError | None:
        return None if self.intake is None else self.intake.error

    def begin(self, listener: Listener, priority: int, *, verify: bool) -> None:
        """Tell a listener of every chunk; a reading that has no reader yet begins."""
        if self.intake is not None:
            self.intake.listen(listener)
            self._owner.begin(self.intake, priority, verify=verify)
            return
        size, step = self.layout.size_bytes, RESIDENT_CHUNKS * self.layout.chunk_bytes
        for start in range(0, size, step):
            listener.landed(resident(self.holding, start, min(step, size - start)))

    def leave(self, listener: Listener) -> None:
        """Give the claim up; nothing may read the bytes for this load any more."""
        if self.intake is not None:
            self.intake.unlisten(listener)
        self._owner.leave(self)


class _Claims:
    """An intake in the books: how many loads want it, and whether its threads have let go."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loads = 1
        self.begun = False
        self.settled = False


class Leases:
    """The books of one store. Safe for threads."""

    def __init__(
        self, pool: Pool, queue: DiskQueue, files: Files, *, ring_bytes: int = RING_BYTES
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._files = files
        self._ring_bytes = ring_bytes
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Holding, Layout]] = {}
        self._intakes: dict[str, Intake] = {}
        self._claims: dict[Intake, _Claims] = {}
        self._numbers = count()

    def resident(self, path: Path, partition: int) -> Lease:
        """A claim on what is in the pool. Raises PoolRefusedError where it is not."""
        name = name_of(path, partition)
        with self._lock:
            found = self._pinned(name)
        if found is None:
            raise PoolRefusedError(f"{name!r} is not in the pool")
        return found

    def take(self, path: Path, partition: int, *, keep: bool) -> Lease:
        """A claim on a checkpoint, wherever it is; `keep` asks for all of it to stay in the pool.

        Raises StoreError as `layout_of`, ChangedError where the pool has an older one of that name,
        PoolFullError where its pages are not free (a model larger than the pool passes through).
        """
        name = name_of(path, partition)
        while True:
            found, stopping = self._there(name, path)
            if found is not None:
                return found
            if stopping is not None:
                stopping.wait()  # a cancelled reading of it gives its pages back first
                continue
            layout = layout_of(path, partition, self._files)
            with self._lock:
                if self._quicker(name, layout):
                    continue
                return self._new(name, layout, keep=keep)

    def begin(self, intake: Intake, priority: int, *, verify: bool) -> None:
        """Start an intake, or hurry one that a less urgent load has started."""
        with self._lock:
            claims = self._claims[intake]
            first, claims.begun = not claims.begun, True
        if first:
            intake.begin(priority, verify=verify, on_end=self._settle)
        else:
            intake.hurry(priority)

    def leave(self, lease: Lease) -> None:
        intake = lease.intake
        if intake is None:
            self._pool.unpin(lease.holding.name)
            return
        with self._lock:
            claims = self._claims[intake]
            claims.loads -= 1
            if claims.loads:
                return
            if claims.settled or not claims.begun:
                self._release(intake)
                return
        intake.stop(CancelledError(f"{lease.layout.path}: the load was cancelled"))
        intake.wait()

    def _there(self, name: str, path: Path) -> tuple[Lease | None, Intake | None]:
        """A claim on what is there or on its way, or else the reading that has to end first."""
        with self._lock:
            intake = self._intakes.get(name)
            if intake is None:
                found = self._pinned(name)
            elif not self._claims[intake].loads:
                return None, intake
            else:
                self._claims[intake].loads += 1
                return Lease(self, intake.layout, intake.shelf.holding, intake), None
        if found is not None and found.layout.stamp != stamp_of(path):
            self.leave(found)
            raise ChangedError(path, "the pool has it as it was before: evict that first")
        return found, None

    def _pinned(self, name: str) -> Lease | None:
        """A claim on what is resident and known."""
        holding, layout = self._known.get(name, (None, None))
        if holding is None or layout is None:
            return None
        if holding.gone:
            del self._known[name]
            return None
        self._pool.pin(name)
        return Lease(self, layout, holding, None)

    def _quicker(self, name: str, layout: Layout) -> bool:
        """Whether it came into the pool, or on its way there, in the meantime."""
        if name in self._intakes:
            return True
        if self._pool.state(name) is not Held.RESIDENT:
            return False
        holding = self._pool.holding(name)
        if holding.size_bytes != layout.size_bytes:
            raise CorruptError(
                layout.path,
                f"the pool has {holding.size_bytes} bytes of it, it has {layout.size_bytes}",
            )
        self._known[name] = (holding, layout)
        return True

    def _new(self, name: str, layout: Layout, *, keep: bool) -> Lease:
        whole = keep and layout.size_bytes <= self._pool.total_bytes
        if not whole:
            name = f"{name} (passing {next(self._numbers)})"
        shelf = (
            Whole(self._pool, name, layout)
            if whole
            else Ring(self._pool, name, layout, self._ring_bytes)
        )
        intake = Intake(layout, shelf, self._queue, self._files)
        self._intakes[name] = intake
        self._claims[intake] = _Claims(name)
        return Lease(self, layout, shelf.holding, intake)

    def _settle(self, intake: Intake) -> None:
        """In the intake's thread, the last to touch its pages."""
        with self._lock:
            claims = self._claims[intake]
            if intake.error is None and isinstance(intake.shelf, Whole):
                self._pool.commit(intake.shelf.holding, pinned=True)
                self._known = {
                    name: known for name, known in self._known.items() if not known[0].gone
                }
                self._known[claims.name] = (intake.shelf.holding, intake.layout)
                del self._intakes[claims.name]
            claims.settled = True
            if not claims.loads:
                self._release(intake)

    def _release(self, intake: Intake) -> None:
        claims = self._claims.pop(intake)
        if self._intakes.pop(claims.name, None) is None:
            self._pool.unpin(claims.name)  # it was committed
        else:
            self._pool.abandon(intake.shelf.holding)
