"""One queue a device: the urgent first, none left behind, failures told to whom they belong."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

pytest.importorskip("torch", reason="copies go into tensors")

import torch

from runtime.store.errors import StoreError
from runtime.store.loading.copying import DEPTH, Copy, CopyQueue
from runtime.store.loading.devices import Copied, CpuDevice
from tests.runtime.store.loading.made import store_threads


class Gated(CpuDevice):
    """Host memory to which copies start only once the gate is open; some fail."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.reached = threading.Event()
        self.fails_at: int | None = None

    def copy(self, block: torch.Tensor, at_bytes: int, source: memoryview) -> Copied:
        self.reached.set()
        self.gate.wait()
        if at_bytes == self.fails_at:
            raise RuntimeError("the link is gone")
        return super().copy(block, at_bytes, source)


@contextmanager
def _queue(device: CpuDevice) -> Iterator[CopyQueue]:
    with closing(CopyQueue(device)) as queue:
        yield queue
    assert not [one for one in store_threads() if one == "hotbed-copy"]


class Orders:
    """Copies of one load, one byte each, and what was told of them."""

    def __init__(self, block: torch.Tensor, told: list[str], name: str) -> None:
        self.block, self.told, self.name = block, told, name
        self.errors: list[StoreError] = []
        self.done = threading.Semaphore(0)

    def submit(self, queue: CopyQueue, at: int, priority: int = 0) -> None:
        source = memoryview(bytearray([at + 1]))
        queue.submit(Copy(self, self.block, at, [source], self._copied), priority)

    def _copied(self, error: StoreError | None) -> None:
        self.told.append(self.name)
        self.errors += [error] if error else []
        self.done.release()


def test_higher_priorities_overtake_and_equals_go_in_turn() -> None:
    device, told = Gated(), list[str]()
    low, high = (Orders(device.allocate(9), told, name) for name in ("low", "high"))
    with _queue(device) as queue:
        low.submit(queue, 0)
        device.reached.wait()  # it stands at the gate: the rest lines up behind
        for at in (1, 2):
            low.submit(queue, at)
        for at in (0, 1):
            high.submit(queue, at, priority=1)
        device.gate.set()
        for _ in range(3):
            low.done.acquire()
    assert told == ["low", "high", "high", "low", "low"]
    assert low.block[:3].tolist() == [1, 2, 3]


def test_more_copies_than_may_be_under_way_all_arrive() -> None:
    device, told = Gated(), list[str]()
    device.gate.set()
    one = Orders(device.allocate(10 * DEPTH), told, "one")
    with _queue(device) as queue:
        for at in range(10 * DEPTH):
            one.submit(queue, at)
        for _ in range(10 * DEPTH):
            one.done.acquire()
    assert one.block.tolist() == list(range(1, 10 * DEPTH + 1))


def test_withdrawing_waits_for_what_is_under_way_and_drops_the_rest() -> None:
    device, told = Gated(), list[str]()
    gone, stays = (Orders(device.allocate(4), told, name) for name in ("gone", "stays"))
    with _queue(device) as queue:
        gone.submit(queue, 0)
        device.reached.wait()
        gone.submit(queue, 1)
        stays.submit(queue, 0)
        withdrawn = threading.Event()

        def withdraw() -> None:
            queue.withdraw(gone)
            withdrawn.set()

        thread = threading.Thread(target=withdraw)
        thread.start()
        assert not withdrawn.is_set()
        device.gate.set()
        thread.join()
        stays.done.acquire()
    assert told == ["gone", "stays"] or told.count("gone") == 1


def test_a_copy_that_fails_is_told_to_its_load_alone() -> None:
    device, told = Gated(), list[str]()
    device.gate.set()
    device.fails_at = 3
    bad, good = (Orders(device.allocate(8), told, name) for name in ("bad", "good"))
    with _queue(device) as queue:
        bad.submit(queue, 3)
        good.submit(queue, 1)
        bad.done.acquire()
        good.done.acquire()
    assert not good.errors
    assert [str(one) for one in bad.errors] == ["cpu: copy failed: RuntimeError: the link is gone"]


def test_a_closed_queue_takes_no_more() -> None:
    device, told = Gated(), list[str]()
    with _queue(device) as queue:
        pass
    with pytest.raises(StoreError, match="cpu: its copies were ended"):
        Orders(device.allocate(1), told, "late").submit(queue, 0)
