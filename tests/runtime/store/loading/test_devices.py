"""Devices: memory that is never given out twice, copies that arrive, names that are checked."""

import gc
from collections.abc import Iterator
from contextlib import closing

import pytest

pytest.importorskip("torch", reason="devices give out tensors")

import torch

from runtime.store.errors import StoreError
from runtime.store.loading.devices import CpuDevice, CudaDevice, Device, open_device
from tests.runtime.store.loading.made import MIB


@pytest.fixture(params=[0, 8 * MIB], ids=["fresh", "reserved"])
def cpu(request: pytest.FixtureRequest) -> Iterator[CpuDevice]:
    with closing(CpuDevice(request.param)) as device:
        yield device


def test_a_block_is_flat_aligned_and_as_large_as_asked(cpu: CpuDevice) -> None:
    for size in (0, 1, 3 * MIB):
        block = cpu.allocate(size)
        assert (block.dtype, block.shape) == (torch.uint8, (size,))
        assert not size or block.data_ptr() % 256 == 0


def test_a_copy_arrives_where_it_should_and_nowhere_else(cpu: CpuDevice) -> None:
    block = cpu.allocate(100)
    block.zero_()
    cpu.copy(block, 40, memoryview(bytearray(range(1, 11)))).wait()
    assert block[40:50].tolist() == list(range(1, 11))
    assert int(block[:40].sum() + block[50:].sum()) == 0


def test_reserved_memory_is_used_again_once_the_last_tensor_over_it_is_gone() -> None:
    with closing(CpuDevice(4 * MIB)) as cpu:
        block = cpu.allocate(3 * MIB)
        view = block[5:10].view(torch.int8)
        del block
        gc.collect()
        with pytest.raises(StoreError, match="cpu: its reserved memory is full"):
            cpu.allocate(3 * MIB)
        del view
        gc.collect()
        assert len(cpu.allocate(3 * MIB)) == 3 * MIB


def test_tensors_outlive_the_device_they_are_on(cpu: CpuDevice) -> None:
    block = cpu.allocate(10)
    block.fill_(7)
    cpu.close()
    gc.collect()
    assert block.tolist() == [7] * 10


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:x", "cuda:-1", "cuda0", ""])
def test_a_device_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match=f"device {name!r}: expected"):
        open_device(name)


def test_a_gpu_that_is_not_there_is_refused_with_how_many_there_are() -> None:
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    with pytest.raises(StoreError, match=f"'cuda:99': this machine has {found} CUDA devices"):
        open_device("cuda:99")


def test_the_cpu_is_a_device() -> None:
    device: Device = open_device("cpu")
    assert device.name == "cpu"


@pytest.mark.gpu
def test_a_gpu_refuses_a_block_that_it_has_no_memory_for() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = CudaDevice(0)
    _, total = torch.cuda.mem_get_info(0)
    with pytest.raises(StoreError, match=r"cuda:0: .* bytes wanted"):
        device.allocate(4 * total)
