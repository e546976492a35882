"""The pool's books: exact, refusing in words, and safe for threads."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime.store.errors import PoolFullError, PoolRefusedError, StoreError
from runtime.store.memory.pages import PAGE_BYTES
from runtime.store.memory.pool import Held, Holding, Pool
from runtime.store.memory.regions import Region

PAGES = 8


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Region.create(PAGES * PAGE_BYTES) as region:
        made = Pool(region)
        yield made
        made.check()


@pytest.fixture
def private() -> Iterator[Pool]:
    """A pool whose memory no second mapping can show."""
    with Region.create(PAGES * PAGE_BYTES, shared=False) as region:
        made = Pool(region)
        yield made
        made.check()


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as the interpreter lets them."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def resident(pool: Pool, name: str, size_bytes: int) -> Holding:
    holding = pool.reserve(name, size_bytes)
    pool.commit(holding)
    return holding


def scattered(pool: Pool, name: str) -> Holding:
    """A resident of four pages, no two of which lie side by side."""
    for page in range(PAGES):
        resident(pool, f"page {page}", 1)
    for page in range(0, PAGES, 2):
        pool.evict(f"page {page}")
    return resident(pool, name, 4 * PAGE_BYTES - 5)


@pytest.mark.parametrize(
    ("size_bytes", "pages"), [(0, 0), (1, 1), (PAGE_BYTES, 1), (PAGE_BYTES + 1, 2)]
)
def test_a_name_holds_whole_pages_from_reserved_to_evicted(
    pool: Pool, size_bytes: int, pages: int
) -> None:
    holding = pool.reserve("m", size_bytes)
    assert (pool.state("m"), pool.names()) == (Held.LOADING, ("m",))
    assert (len(holding.pages), pool.used_bytes) == (pages, pages * PAGE_BYTES)
    pool.commit(holding)
    assert pool.state("m") is Held.RESIDENT
    with pool.map("m") as mapping:
        assert len(mapping.view) == size_bytes
    pool.evict("m")
    assert (pool.state("m"), pool.names(), pool.used_bytes) == (None, (), 0)
    assert pool.free_bytes == pool.total_bytes == PAGES * PAGE_BYTES


def test_a_load_that_ends_early_leaves_nothing(pool: Pool) -> None:
    holding = pool.reserve("m", 3 * PAGE_BYTES)
    pool.abandon(holding)
    assert (pool.names(), pool.used_bytes) == ((), 0)
    with pytest.raises(PoolRefusedError, match="'m' cannot be committed: it is no longer in the"):
        pool.commit(holding)
    with pytest.raises(PoolRefusedError, match="'m' is no longer in the pool"):
        holding.buffers(0, 1)


def test_a_name_is_held_once(pool: Pool) -> None:
    first = pool.reserve("m", 1)
    with pytest.raises(PoolRefusedError, match=r"'m' is already in the pool \(loading\)"):
        pool.reserve("m", 1)
    pool.abandon(first)
    second = pool.reserve("m", 1)
    with pytest.raises(PoolRefusedError, match="'m' cannot be abandoned"):
        pool.abandon(first)
    pool.commit(second)
    with pytest.raises(PoolRefusedError, match="'m' cannot be committed: it is resident"):
        pool.commit(second)


def test_what_loads_can_be_neither_evicted_nor_pinned_nor_mapped(pool: Pool) -> None:
    pool.reserve("m", 1)
    for order, what in (
        (pool.evict, "evicted"),
        (pool.pin, "pinned"),
        (pool.unpin, "unpinned"),
        (pool.map, "mapped"),
    ):
        with pytest.raises(PoolRefusedError, match=f"'m' cannot be {what}: it is still loading"):
            order("m")


def test_a_name_that_is_not_there_is_refused(pool: Pool) -> None:
    for order in (pool.evict, pool.pin, pool.unpin, pool.map, pool.pins, pool.holding):
        with pytest.raises(PoolRefusedError, match="'m' is not in the pool"):
            order("m")


def test_pins_are_counted_and_forbid_eviction(pool: Pool) -> None:
    pool.commit(pool.reserve("m", 1), pinned=True)
    pool.pin("m")
    assert pool.pins("m") == 2
    pool.unpin("m")
    with pytest.raises(
        PoolRefusedError, match=r"'m' cannot be evicted: it is in use \(pins: 1, map"
    ):
        pool.evict("m")
    pool.unpin("m")
    with pytest.raises(PoolRefusedError, match="'m' cannot be unpinned: it has no pin"):
        pool.unpin("m")
    pool.evict("m")


def test_a_mapping_is_a_pin_that_only_closing_takes_back(pool: Pool) -> None:
    resident(pool, "m", 1)
    with pool.map("m"), pool.map("m"):
        assert pool.pins("m") == 2
        with pytest.raises(PoolRefusedError, match="'m' cannot be unpinned: it has no pin"):
            pool.unpin("m")
        with pytest.raises(
            PoolRefusedError, match=r"pins: 0, mappings and what was made from them: 2\)"
        ):
            pool.evict("m")
    assert pool.pins("m") == 0
    pool.evict("m")


def test_an_array_made_from_a_mapping_holds_the_pages_until_it_has_gone(pool: Pool) -> None:
    holding = resident(pool, "m", 100)
    holding.buffers(0, 3)[0][:] = b"abc"
    with pool.map("m") as mapping:
        array = np.frombuffer(mapping.view, np.uint8)[1:3]
    with pytest.raises(
        PoolRefusedError, match=r"pins: 0, mappings and what was made from them: 1\)"
    ):
        pool.evict("m")
    assert bytes(array) == b"bc"
    del array
    pool.evict("m")


def test_what_lies_together_is_mapped_in_place(pool: Pool) -> None:
    resident(pool, "a", PAGE_BYTES)
    holding = resident(pool, "m", 2 * PAGE_BYTES)
    with pool.map("m") as mapping:
        assert mapping.address == holding.addresses(0, 1)[0][0]


def test_what_lies_apart_is_shown_in_order_and_stitched_once(pool: Pool) -> None:
    holding = scattered(pool, "m")
    assert holding.pages == (0, 2, 4, 6)
    for number, buffer in enumerate(holding.buffers(0, 4 * PAGE_BYTES)):
        np.frombuffer(buffer, np.uint8)[:] = number + 1
    with pool.map("m") as first, pool.map("m") as second:
        assert first.address == second.address
        assert len(first.view) == holding.size_bytes
        values = np.frombuffer(first.view, np.uint8)
        numbers = np.repeat(np.arange(1, 5, dtype=np.uint8), PAGE_BYTES)
        assert np.array_equal(values, numbers[: holding.size_bytes])
        del values


def test_what_lies_apart_gives_all_its_pages_back(pool: Pool) -> None:
    scattered(pool, "m")
    pool.map("m").close()
    pool.evict("m")
    assert pool.free_bytes == 4 * PAGE_BYTES
    pool.check()


def test_a_mapping_is_written_to_only_if_it_was_asked_for(pool: Pool) -> None:
    for name in (scattered(pool, "apart").name, "page 1"):
        with pool.map(name) as mapping, pytest.raises(TypeError, match="read-only"):
            mapping.view[0] = 1
        with pool.map(name, writable=True) as mapping:
            mapping.view[0] = 77
        assert pool.holding(name).buffers(0, 1)[0][0] == 77


def test_pages_are_taken_all_at_once_or_not_at_all(pool: Pool) -> None:
    resident(pool, "idle", 3 * PAGE_BYTES)
    resident(pool, "used", PAGE_BYTES)
    pool.pin("used")
    page = PAGE_BYTES
    with pytest.raises(PoolFullError) as refused:
        pool.reserve("m", 6 * page - 1)
    assert str(refused.value) == (
        f"'m' needs {6 * page} bytes, {4 * page} of {8 * page} are free: evict {2 * page} "
        f"({3 * page} are resident and not in use)"
    )
    assert pool.used_bytes == 4 * page
    assert pool.state("m") is None


def test_what_is_larger_than_the_pool_is_told_to_stream(pool: Pool) -> None:
    with pytest.raises(PoolFullError, match="the pool has 16777216 in all: stream it through a"):
        pool.reserve("m", PAGES * PAGE_BYTES + 1)


def test_a_size_below_zero_is_refused(pool: Pool) -> None:
    with pytest.raises(PoolRefusedError, match="'m' of -1 bytes: must not be negative"):
        pool.reserve("m", -1)


def test_private_memory_is_held_in_one_run_or_refused(private: Pool) -> None:
    for page in range(PAGES):
        resident(private, f"page {page}", 1)
    for page in (0, 2, 3, 5):
        private.evict(f"page {page}")
    with pytest.raises(PoolFullError, match=f"side by side in private memory, of {4 * PAGE_BYTES}"):
        private.reserve("m", 3 * PAGE_BYTES)
    holding = resident(private, "m", 2 * PAGE_BYTES)
    holding.buffers(0, 2)[0][:] = b"hi"
    with private.map("m") as mapping:
        assert holding.pages == (2, 3)
        assert bytes(mapping.view[:2]) == b"hi"


def test_a_closed_region_maps_nothing_and_the_books_stay_right() -> None:
    with Region.create(PAGES * PAGE_BYTES) as region:
        pool = Pool(region)
        scattered(pool, "m")
    for name in ("m", "page 1"):
        with pytest.raises(StoreError, match="the memory region is closed"):
            pool.map(name)
        assert pool.pins(name) == 0
    pool.check()


def test_a_page_that_is_held_twice_or_lost_is_found_out(pool: Pool) -> None:
    holding = resident(pool, "m", PAGE_BYTES)
    runs = holding.runs
    holding.runs = (*runs, runs[0])
    with pytest.raises(AssertionError, match="page 0: not held once, by 'm'"):
        pool.check()
    holding.runs = ()
    with pytest.raises(AssertionError, match="page 0: not held once"):
        pool.check()
    holding.runs = runs


@pytest.mark.usefixtures("restless")
def test_threads_that_reserve_at_once_never_share_a_page(pool: Pool) -> None:
    threads, rounds = 6, 150
    together = threading.Barrier(threads)

    def work(number: int) -> int:
        together.wait(timeout=30)
        won = 0
        for turn in range(rounds):
            name = f"{number}.{turn}"
            try:
                holding = pool.reserve(name, (1 + turn % 3) * PAGE_BYTES)
            except PoolFullError:
                continue
            won += 1
            marked(pool, holding, number)
            pool.evict(name)
        return won

    with ThreadPoolExecutor(threads) as executor:
        won = list(executor.map(work, range(threads)))
    assert sum(won) > 0
    assert pool.free_bytes == pool.total_bytes


def marked(pool: Pool, holding: Holding, number: int) -> None:
    """Write to every page, let the others run, and find the same through a mapping."""
    for page in range(len(holding.pages)):
        holding.buffers(page * PAGE_BYTES, 1)[0][0] = number
    pool.commit(holding)
    with pool.map(holding.name) as mapping:
        assert set(bytes(mapping.view[::PAGE_BYTES])) == {number}


@pytest.mark.usefixtures("restless")
def test_threads_that_map_the_same_name_first_get_the_same_stitching(pool: Pool) -> None:
    threads = 4
    scattered(pool, "m")
    together = threading.Barrier(threads)

    def work(_: int) -> int:
        together.wait(timeout=30)
        with pool.map("m") as mapping:
            together.wait(timeout=30)
            return mapping.address

    with ThreadPoolExecutor(threads) as executor:
        assert len(set(executor.map(work, range(threads)))) == 1
    pool.evict("m")


@pytest.mark.usefixtures("restless")
def test_one_of_many_threads_gets_a_name(pool: Pool) -> None:
    threads = 6
    together = threading.Barrier(threads)

    def work(_: int) -> bool:
        together.wait(timeout=30)
        try:
            pool.reserve("m", 1)
        except PoolRefusedError:
            return False
        return True

    with ThreadPoolExecutor(threads) as executor:
        assert sum(executor.map(work, range(threads))) == 1


def test_views_that_die_inside_a_locked_step_do_not_stop_the_pool(pool: Pool) -> None:
    resident(pool, "m", 1)
    mapping = pool.map("m")
    with pool._lock:  # as a collection of garbage may, in the middle of any method
        mapping.close()
    assert pool.pins("m") == 0


def test_hundreds_of_adapters_are_resident_side_by_side() -> None:
    adapters = 300
    with Region.create(adapters * PAGE_BYTES) as region:
        pool = Pool(region)
        for number in range(adapters):
            holding = pool.reserve(f"lora-{number}", 1000)
            holding.buffers(0, 2)[0][:] = number.to_bytes(2, "little")
            pool.commit(holding)
        for number in range(adapters):
            with pool.map(f"lora-{number}") as mapping:
                assert int.from_bytes(mapping.view[:2], "little") == number
        for number in range(0, adapters, 2):
            pool.evict(f"lora-{number}")
        pool.check()
        assert pool.used_bytes == adapters // 2 * PAGE_BYTES
