"""Loads, fetches, cancels, evictions and closes in any order, against a plain model.

Every read of data waits at a gate, so the machine says which chunk lands when; nothing is timed.
After each step the pool's books are exact and every live tensor is what it was.
"""

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="loads bring tensors")

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from runtime.store.errors import CancelledError, PoolFullError, PoolRefusedError
from runtime.store.loading.loads import Load, Loaded, Store
from runtime.store.memory.pages import PAGE_BYTES, pages_for
from runtime.store.memory.pool import Held, Pool
from runtime.store.memory.regions import Region
from runtime.store.reading.disk_queue import DiskQueue
from runtime.store.reading.tuning import Tuning
from tests.runtime.store.loading.made import (
    MIB,
    Gate,
    assert_same,
    evict_all,
    numbers,
    store_threads,
    write,
)

PAGES = 4
SIZES_MIB = {"small": 0.9, "middle": 2.7, "large": 4.6, "huge": 9.0}  # the last fits in no pool
NAMES = st.sampled_from(sorted(SIZES_MIB))
PICKS = st.integers(0, 99)
RING_BYTES = 2 * MIB
THREADS = 24  # enough for every chunk of every checkpoint to stand at its gate


@cache
def made() -> tuple[Path, dict[str, dict[str, torch.Tensor]]]:
    """The checkpoints, written once, and what is in them."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    wanted = {name: numbers(at, size) for at, (name, size) in enumerate(SIZES_MIB.items())}
    for name, tensors in wanted.items():
        write(folder / name, tensors)
    return folder, wanted


@dataclass
class Reading:
    """What the model knows of one checkpoint on its way: its chunks, and how many were let in."""

    chunks: int
    keeps: bool
    let: int = 0


@dataclass
class Asked:
    """A load, and whether it is to see the pool's own memory."""

    name: str
    load: Load
    tensors: bool


class LoadsMachine(RuleBasedStateMachine):
    """At most one reading of a checkpoint at a time, so that a gate knows whom it lets in."""

    @initialize()
    def begin(self) -> None:
        self.folder, self.wanted = made()
        self.region = Region.create(PAGES * PAGE_BYTES)
        self.pool = Pool(self.region)
        self.gate = Gate()
        self.queue = DiskQueue(Tuning(start=THREADS, most=THREADS))
        self.store = Store(self.pool, self.queue, files=self.gate, ring_bytes=RING_BYTES)
        self.readings: dict[str, Reading] = {}
        self.asked: list[Asked] = []
        self.live: list[tuple[str, Loaded]] = []

    @rule(
        name=NAMES,
        keep=st.booleans(),
        copy=st.booleans(),
        priority=st.integers(0, 2),
        only_fetch=st.booleans(),
    )
    def load(self, name: str, keep: bool, copy: bool, priority: int, only_fetch: bool) -> None:
        keep = keep or only_fetch
        reading = self.readings.get(name)
        if reading is not None and not (keep and reading.keeps):
            return  # a second reading of the same file: its gate would not know them apart
        path = self.folder / name
        free, resident = self.pool.free_bytes, self._resident(name)
        try:
            if only_fetch:
                load = self.store.fetch(path, priority=priority)
            else:
                load = self.store.load(path, keep=keep, copy=copy, priority=priority)
        except PoolFullError:
            assert reading is None
            assert not resident
            fits = keep and load_bytes(path) <= self.pool.total_bytes
            assert free < (pages_for(load_bytes(path)) * PAGE_BYTES if fits else PAGE_BYTES)
            return
        self.asked.append(Asked(name, load, tensors=not only_fetch))
        if resident:
            self._take(self.asked.pop())
        elif reading is None:
            stays = keep and load_bytes(path) <= self.pool.total_bytes
            self.readings[name] = Reading(-(-load_bytes(path) // MIB), stays)

    @precondition(lambda self: self.readings)
    @rule(pick=PICKS, chunks=st.sampled_from([1, 2, 99, 99]))
    def let(self, pick: int, chunks: int) -> None:
        name = sorted(self.readings)[pick % len(self.readings)]
        reading = self.readings[name]
        chunks = min(chunks, reading.chunks - reading.let)
        reading.let += chunks
        self.gate.let(name, chunks)
        if reading.let < reading.chunks:
            return
        del self.readings[name]
        done = [one for one in self.asked if one.name == name]
        self.asked = [one for one in self.asked if one.name != name]
        for one in done:
            self._take(one)
        assert self._resident(name) == reading.keeps

    @precondition(lambda self: self.asked)
    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        asked = self.asked.pop(pick % len(self.asked))
        asked.load.cancel()
        last = not any(one.name == asked.name for one in self.asked)
        if last:  # its reads end when they come through the gate
            self.gate.open(asked.name)
        with pytest.raises(CancelledError, match=asked.name):
            asked.load.wait()
        if last:
            self.gate.shut(asked.name)
            del self.readings[asked.name]
            if self._resident(asked.name):  # all of it had landed before the reading was told
                self.pool.evict(str(self.folder / asked.name))

    @precondition(lambda self: self._residents())
    @rule(pick=PICKS, copy=st.booleans())
    def attach(self, pick: int, copy: bool) -> None:
        name = self._residents()[pick % len(self._residents())]
        self.live.append((name, self.store.attach(self.folder / name, copy=copy)))

    @precondition(lambda self: self.live)
    @rule(pick=PICKS)
    def forget(self, pick: int) -> None:
        _, loaded = self.live.pop(pick % len(self.live))
        loaded.close()

    @precondition(lambda self: self._residents())
    @rule(pick=PICKS)
    def evict(self, pick: int) -> None:
        name = self._residents()[pick % len(self._residents())]
        if any(one == name and loaded.in_pool for one, loaded in self.live):
            with pytest.raises(PoolRefusedError, match="in use"):
                self.pool.evict(str(self.folder / name))
        else:
            self.pool.evict(str(self.folder / name))

    @invariant()
    def books_are_exact(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.pool.check()
        for name in self.pool.names():
            if self.pool.state(name) is Held.RESIDENT:
                views = sum(
                    str(self.folder / one) == name and loaded.in_pool for one, loaded in self.live
                )
                assert self.pool.pins(name) == views

    @invariant()
    def live_tensors_are_what_they_were(self) -> None:
        for name, loaded in getattr(self, "live", []):
            found = loaded.tensors
            assert torch.equal(found["odd"], self.wanted[name]["odd"])
            assert torch.equal(found["layer3"][-99:], self.wanted[name]["layer3"][-99:])

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        for name in SIZES_MIB:
            self.gate.open(name)
        self.store.close()
        while self.live:
            name, loaded = self.live.pop()
            assert_same(loaded.tensors, self.wanted[name])
            loaded.close()
        self.queue.close()
        self.asked.clear()
        evict_all(self.pool)
        assert not self.gate.open_descriptors
        assert not store_threads()
        self.region.close()

    def _residents(self) -> list[str]:
        return [name for name in sorted(SIZES_MIB) if self._resident(name)]

    def _resident(self, name: str) -> bool:
        return self.pool.state(str(self.folder / name)) is Held.RESIDENT

    def _take(self, asked: Asked) -> None:
        loaded = asked.load.wait()
        if asked.tensors:
            assert_same(loaded.tensors, self.wanted[asked.name])
            self.live.append((asked.name, loaded))
        else:
            assert not loaded.tensors


def load_bytes(path: Path) -> int:
    return (path / "data-0.bin").stat().st_size


LoadsMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


@pytest.mark.filterwarnings("error")
class TestLoads(LoadsMachine.TestCase):  # type: ignore[misc,valid-type]
    """Runs the machine."""
