"""The link's figures are of the size that was asked for, on the device that was named."""

import pytest

pytest.importorskip("torch", reason="copies to a device are torch's")

import torch

from runtime.bench.gpu.links import link

SIZE = 3 << 20
TIMES = ("create_s", "pin_s", "to_device_s", "to_host_s")


def test_a_cpu_is_a_device_like_another() -> None:
    found = link(torch.device("cpu"), SIZE)
    assert found["bytes"] == SIZE
    assert found["pinned"] is False
    assert all(isinstance(found[name], float) for name in TIMES)


@pytest.mark.gpu
def test_the_memory_is_pinned_for_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert link(torch.device("cuda"), SIZE)["pinned"] is True
