"""The same on a CUDA device: bit for bit, through pinned memory, cancelled without a trace."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="loads bring tensors")

import torch

from runtime.store.errors import CancelledError
from runtime.store.loading.loads import Store
from runtime.store.loading.slots import AdapterSlots, Layer, Scaling
from runtime.store.memory.pool import Pool
from tests.runtime.store.loading.made import MIB, Gate, evict_all, numbers, pool_of, write

pytestmark = pytest.mark.gpu
WAYS: dict[str, dict[str, Any]] = {"kept": {}, "passing": {"keep": False}}


@pytest.fixture(autouse=True)
def device() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return "cuda:0"


@pytest.fixture
def pool() -> Iterator[Pool]:
    with pool_of(32) as made:
        yield made


def _assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].is_cuda
        assert found[name].stride() == tensor.stride()
        assert torch.equal(found[name].cpu(), tensor)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_written_is_on_the_device_bit_for_bit(
    pool: Pool, tmp_path: Path, device: str, way: str
) -> None:
    base = torch.arange(60_000, dtype=torch.int32).reshape(200, 300)
    tensors = {**numbers(0, 9), "rows": base[10:20], "turned": base.t(), "none": torch.empty(0, 3)}
    path = write(tmp_path / "model", tensors)
    with Store(pool, ring_bytes=2 * MIB) as store:
        with store.load(path, device=device, **WAYS[way]).wait() as loaded:
            _assert_same(loaded.tensors, tensors)
            rows, turned = loaded.tensors["rows"], loaded.tensors["turned"]
            assert rows.data_ptr() - turned.data_ptr() == 10 * 300 * 4, "shared as it was"
            assert not loaded.in_pool
        evict_all(pool)


def test_the_pool_is_pinned_once_a_gpu_copies_from_it(
    pool: Pool, tmp_path: Path, device: str
) -> None:
    path = write(tmp_path / "model", numbers(0, 3))
    with Store(pool) as store:
        store.load(path, device=device).wait()
        assert pool.region.pinned
        assert store.attach(path).tensors["odd"].is_pinned()


def test_a_load_waits_for_kernels_on_memory_that_is_used_again(
    pool: Pool, tmp_path: Path, device: str
) -> None:
    tensors = numbers(0, 8)
    path = write(tmp_path / "model", tensors)
    with Store(pool) as store:
        store.fetch(path).wait()
        for _ in range(20):
            old = torch.empty(9 * MIB, dtype=torch.uint8, device=device)
            for _ in range(50):
                old.add_(1)
            del old  # its kernels still run when the load is given this memory
            _assert_same(store.attach(path, device=device).tensors, tensors)


def test_a_cancelled_load_gives_its_memory_back(pool: Pool, tmp_path: Path, device: str) -> None:
    path = write(tmp_path / "model", numbers(0, 5))
    gate = Gate()
    with Store(pool, files=gate) as store:
        torch.zeros(1, device=device)
        before = torch.cuda.memory_allocated(0)
        load = store.load(path, device=device)
        gate.let("model", 2)
        gate.reached("model")
        load.cancel()
        gate.open("model")
        with pytest.raises(CancelledError):
            load.wait()
        del load
        gc.collect()
        assert torch.cuda.memory_allocated(0) <= before
        evict_all(pool)


def test_an_adapter_from_the_pool_is_attached_to_a_slot_on_the_device(
    pool: Pool, tmp_path: Path, device: str
) -> None:
    layer = Layer("q", 64, 32)
    adapter = {"q.lora_A.weight": torch.randn(4, 64), "q.lora_B.weight": torch.randn(32, 4)}
    path = write(tmp_path / "adapter", adapter)
    slots = AdapterSlots([layer], slots=2, rank=8, dtype=torch.float32, device=device)
    with Store(pool) as store:
        store.fetch(path).wait()
        slots.attach(1, store.attach(path, device=device).tensors, Scaling(4.0))
    x = torch.randn(3, 64)
    wanted = x @ adapter["q.lora_A.weight"].T @ adapter["q.lora_B.weight"].T
    torch.testing.assert_close(
        slots.added(1, "q", x.to(device)).cpu(), wanted, rtol=1e-3, atol=1e-3
    )
