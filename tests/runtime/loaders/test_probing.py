"""What runs here is asked of a process of its own."""

import pytest

pytest.importorskip("torch", reason="loaders give torch tensors")

from runtime.loaders.probing import probe
from runtime.loaders.registry import names


def test_every_loader_is_probed_with_its_formats() -> None:
    found = probe()
    assert tuple(found) == names()
    assert found["torch"].missing is None
    assert found["torch"].formats == {"torch"}
    assert "huggingface" in found["from_pretrained"].formats
