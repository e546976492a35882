"""Rings give each place to one chunk at a time; intakes tell late comers what is there already."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="deliveries go to tensors")

from runtime.store.errors import CancelledError, PoolFullError, StoreError
from runtime.store.loading.copying import CopyQueue
from runtime.store.loading.devices import CpuDevice
from runtime.store.loading.pipeline import Delivery, Intake, Landed, Ring, Whole
from runtime.store.loading.plan import Layout, layout_of
from runtime.store.memory.pool import Pool
from runtime.store.reading.disk_queue import DiskQueue
from tests.runtime.store.loading.made import MIB, Gate, numbers, pool_of, write


@pytest.fixture
def pool() -> Iterator[Pool]:
    with pool_of(8) as made:
        yield made


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return layout_of(write(tmp_path / "model", numbers(0, 3.5)))


class Hearer:
    """Notes what landed."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.heard = threading.Semaphore(0)
        self.ended = threading.Event()

    def landed(self, landed: Landed) -> None:
        self.offsets.append(landed.offset_bytes)
        self.heard.release()

    def changed(self) -> None:
        self.ended.set()


def test_a_full_ring_has_no_place_until_one_is_released(pool: Pool, layout: Layout) -> None:
    ring = Ring(pool, "ring", layout, 2 * MIB)
    freed: list[bool] = []
    ring.freed = lambda: freed.append(True)
    first, second = ring.place(0, MIB), ring.place(MIB, MIB)
    assert first is not None
    assert second is not None
    assert ring.place(2 * MIB, MIB) is None
    landed = ring.landed(0, MIB)
    first[0][:3] = b"abc"
    assert bytes(landed.buffers(1, 2)[0]) == b"bc"
    landed.release()
    assert freed == [True]
    third = ring.place(2 * MIB, MIB)
    assert third is not None
    third[0][:3] = b"xyz"
    assert bytes(landed.buffers(0, 3)[0]) == b"xyz", "the same place again"
    pool.abandon(ring.holding)


def test_a_ring_takes_what_is_free_and_at_least_a_chunk(pool: Pool, layout: Layout) -> None:
    other = pool.reserve("other", 6 * MIB)
    ring = Ring(pool, "ring", layout, 64 * MIB)
    assert ring.holding.size_bytes == 2 * MIB
    with pytest.raises(PoolFullError):
        Ring(pool, "another", layout, 64 * MIB)
    pool.abandon(ring.holding)
    pool.abandon(other)


def test_a_ring_is_no_larger_than_what_passes_through_it(pool: Pool, tmp_path: Path) -> None:
    small = layout_of(write(tmp_path / "small", numbers(0, 0.1)))
    ring = Ring(pool, "ring", small, 64 * MIB)
    assert ring.holding.size_bytes == small.size_bytes
    pool.abandon(ring.holding)


def test_a_late_listener_hears_of_every_chunk_once(pool: Pool, layout: Layout) -> None:
    gate, early, late = Gate(), Hearer(), Hearer()
    with closing(DiskQueue()) as queue:
        intake = Intake(layout, Whole(pool, "model", layout), queue, gate)
        intake.listen(early)
        intake.begin(0, verify=True, on_end=lambda _: None)
        gate.let("model", 2)
        early.heard.acquire()
        early.heard.acquire()
        intake.listen(late)
        gate.open("model")
        intake.wait()
    assert intake.error is None
    assert early.ended.is_set()
    assert late.ended.is_set()
    assert sorted(late.offsets) == sorted(early.offsets) == [0, MIB, 2 * MIB, 3 * MIB]
    pool.abandon(intake.shelf.holding)


def test_a_stopped_intake_ends_when_no_thread_is_at_its_pages(pool: Pool, layout: Layout) -> None:
    gate, ends = Gate(), list[str]()
    with closing(DiskQueue()) as queue:
        intake = Intake(layout, Whole(pool, "model", layout), queue, gate)
        intake.begin(0, verify=True, on_end=lambda _: ends.append("end"))
        gate.reached("model", 4)
        intake.stop(CancelledError("enough"))
        assert not ends
        gate.open("model")
        intake.wait()
    assert ends == ["end"]
    assert str(intake.error) == "enough"
    assert not gate.open_descriptors
    pool.abandon(intake.shelf.holding)


def test_an_intake_of_a_closed_queue_ends_in_an_error(pool: Pool, layout: Layout) -> None:
    gate, queue = Gate(), DiskQueue()
    queue.close()
    intake = Intake(layout, Whole(pool, "model", layout), queue, gate)
    intake.begin(0, verify=True, on_end=lambda _: None)
    intake.wait()
    assert isinstance(intake.error, StoreError)
    assert not gate.open_descriptors
    pool.abandon(intake.shelf.holding)


def test_a_delivery_that_was_ended_takes_no_more(pool: Pool, layout: Layout) -> None:
    device = CpuDevice()
    block = device.allocate(layout.device_bytes)
    block.zero_()
    shelf = Whole(pool, "model", layout)
    with closing(CopyQueue(device)) as copies:
        delivery = Delivery(layout, block, copies, 0, lambda: None)
        delivery.end()
        delivery.deliver(shelf.landed(0, MIB))
    assert not delivery.copied_bytes
    assert not block.any()
    pool.abandon(shelf.holding)
