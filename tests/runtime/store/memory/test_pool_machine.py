"""The pool under any sequence of orders, against a plain model: exact books, bytes left alone."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runtime.store.errors import PoolFullError, PoolRefusedError
from runtime.store.memory.mappings import Mapping
from runtime.store.memory.pages import PAGE_BYTES, pages_for
from runtime.store.memory.pool import Held, Holding, Pool
from runtime.store.memory.regions import Region

PAGES = 7
STRIDE = 4096  # one byte of every 4 KiB is marked and looked at
SOME = st.integers(0, 119)  # which of the names there are
# Large integers drawn from a range are mostly small ones: pages are drawn, and bytes beside them.
SIZES = st.builds(
    lambda pages, beside: max(0, pages * PAGE_BYTES + beside),
    st.sampled_from([0, 1, 1, 1, 2, 2, 3, 4, PAGES]),
    st.sampled_from([-1, 0, 1]),
)


@dataclass
class Look:
    """One mapping of a name, and slices of its view that may outlive it."""

    mapping: Mapping
    slices: list[memoryview] = field(default_factory=list)


@dataclass
class Entry:
    """What the model knows of one name."""

    holding: Holding
    size_bytes: int
    mark: int
    resident: bool = False
    pins: int = 0
    looks: list[Look] = field(default_factory=list)


class PoolMachine(RuleBasedStateMachine):
    """Every order may come at any time; the model says whether it must be refused."""

    @initialize(shared=st.booleans())
    def begin(self, shared: bool) -> None:
        self.region = Region.create(PAGES * PAGE_BYTES, shared=shared)
        self.pool = Pool(self.region)
        self.model: dict[str, Entry] = {}
        self.marks = 0

    @rule(size_bytes=SIZES, complete=st.booleans())
    def reserve(self, size_bytes: int, complete: bool) -> None:
        self.marks += 1
        name = f"model {self.marks}"
        free = PAGES - sum(pages_for(entry.size_bytes) for entry in self.model.values())
        most = free if self.region.kind.shared else self.longest_free_run()
        try:
            holding = self.pool.reserve(name, size_bytes)
        except PoolFullError:
            assert pages_for(size_bytes) > most
            return
        assert pages_for(size_bytes) <= most
        assert self.region.kind.shared or holding.contiguous
        self.entered(name, Entry(holding, size_bytes, self.marks % 251 + 1), complete)

    @rule(evicted=st.sets(st.integers(0, PAGES - 1), min_size=2, max_size=PAGES))
    def fill(self, evicted: set[int]) -> None:
        """Take what is free page by page, and leave holes."""
        names = []
        while self.pool.free_bytes:
            self.marks += 1
            names.append(f"page {self.marks}")
            entry = Entry(self.pool.reserve(names[-1], 1), 1, self.marks % 251 + 1)
            self.entered(names[-1], entry, True)
        for place in evicted:
            if place < len(names):
                self.pool.evict(names[place])
                del self.model[names[place]]
        if self.region.kind.shared:  # what takes the holes lies apart, and is looked at as one
            self.reserve(self.pool.free_bytes, True)
            self.look(f"model {self.marks}")

    @rule(some=SOME)
    def reserve_again(self, some: int) -> None:
        name = self.named(some)
        if name in self.model:
            assert refused(lambda: self.pool.reserve(name, 1))

    @rule(some=SOME, pinned=st.booleans())
    def commit(self, some: int, pinned: bool) -> None:
        name = self.named(some)
        entry = self.model.get(name)
        if entry is None:
            return
        if refused(lambda: self.pool.commit(entry.holding, pinned=pinned)):
            assert entry.resident
        else:
            assert not entry.resident
            entry.resident, entry.pins = True, int(pinned)

    @rule(some=SOME)
    def abandon(self, some: int) -> None:
        name = self.named(some)
        entry = self.model.get(name)
        if entry is None:
            return
        if refused(lambda: self.pool.abandon(entry.holding)):
            assert entry.resident
        else:
            assert not entry.resident
            del self.model[name]

    @rule(some=SOME)
    def pin(self, some: int) -> None:
        name = self.named(some)
        if refused(lambda: self.pool.pin(name)):
            assert not self.is_resident(name)
        else:
            self.model[name].pins += 1

    @rule(some=SOME)
    def unpin(self, some: int) -> None:
        name = self.named(some)
        if refused(lambda: self.pool.unpin(name)):
            assert not self.is_resident(name) or not self.model[name].pins
        else:
            self.model[name].pins -= 1
            assert self.model[name].pins >= 0

    @rule(some=SOME)
    def evict(self, some: int) -> None:
        name = self.named(some)
        entry = self.model.get(name)
        idle = entry is not None and entry.resident and not entry.pins and not entry.looks
        assert refused(lambda: self.pool.evict(name)) is not idle
        if idle:
            del self.model[name]

    @rule(some=SOME)
    def map(self, some: int) -> None:
        self.look(self.named(some))

    def look(self, name: str) -> None:
        try:
            mapping = self.pool.map(name)
        except PoolRefusedError:
            assert not self.is_resident(name)
            return
        entry = self.model[name]
        assert entry.resident
        assert len(mapping.view) == entry.size_bytes
        assert set(bytes(mapping.view[::STRIDE])) <= {entry.mark}
        entry.looks.append(Look(mapping))

    @rule(some=SOME, slices=st.integers(0, 2))
    def close_mapping(self, some: int, slices: int) -> None:
        """Close the oldest open mapping, of which some slices may be kept."""
        name = self.named(some)
        for look in self.looks(name):
            if not look.mapping.closed:
                look.slices += [look.mapping.view[::STRIDE] for _ in range(slices)]
                look.mapping.close()
                break
        self.forget(name)

    @rule(some=SOME)
    def drop_slice(self, some: int) -> None:
        name = self.named(some)
        for look in self.looks(name):
            if look.slices:
                look.slices.pop()
                break
        self.forget(name)

    @invariant()
    def the_books_are_exact(self) -> None:
        self.pool.check()
        pages = [page for entry in self.model.values() for page in entry.holding.pages]
        assert len(pages) == len(set(pages))
        assert self.pool.used_bytes == len(pages) * PAGE_BYTES
        assert self.pool.free_bytes + self.pool.used_bytes == self.pool.total_bytes
        assert self.pool.names() == tuple(self.model)
        for name, entry in self.model.items():
            assert self.pool.state(name) is (Held.RESIDENT if entry.resident else Held.LOADING)
            assert self.pool.pins(name) == entry.pins + len(entry.looks)

    @invariant()
    def nobody_sees_the_bytes_of_another(self) -> None:
        for entry in self.model.values():
            seen = entry.holding.buffers(0, entry.holding.capacity_bytes)
            seen += [look.mapping.view for look in entry.looks if not look.mapping.closed]
            for view in seen:
                assert (np.frombuffer(view, np.uint8)[::STRIDE] == entry.mark).all()
            for kept in (part for look in entry.looks for part in look.slices):
                assert set(bytes(kept)) <= {entry.mark}

    def entered(self, name: str, entry: Entry, complete: bool) -> None:
        """Mark every page, and tell the model."""
        for buffer in entry.holding.buffers(0, entry.holding.capacity_bytes):
            np.frombuffer(buffer, np.uint8)[::STRIDE] = entry.mark
        if complete:
            self.pool.commit(entry.holding)
            entry.resident = True
        self.model[name] = entry

    def named(self, some: int) -> str:
        """One of the names that the pool holds, or seldom one that it does not."""
        names = tuple(self.model)
        return names[some % len(names)] if names and some < 110 else "nobody"

    def teardown(self) -> None:
        self.model.clear()
        self.region.close()

    def is_resident(self, name: str) -> bool:
        return name in self.model and self.model[name].resident

    def looks(self, name: str) -> list[Look]:
        return self.model[name].looks if name in self.model else []

    def forget(self, name: str) -> None:
        """Drop the mappings that are closed and of which nothing was kept."""
        if name in self.model:
            self.model[name].looks[:] = [
                look for look in self.looks(name) if look.slices or not look.mapping.closed
            ]

    def longest_free_run(self) -> int:
        held = {page for entry in self.model.values() for page in entry.holding.pages}
        longest = length = 0
        for page in range(PAGES):
            length = 0 if page in held else length + 1
            longest = max(longest, length)
        return longest


def refused(order: Callable[[], object]) -> bool:
    try:
        order()
    except PoolRefusedError:
        return True
    return False


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=150, stateful_step_count=50)
