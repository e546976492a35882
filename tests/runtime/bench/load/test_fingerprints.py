"""One bit that is not as it was written is found, and so is all else that can differ."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="fingerprints are of torch tensors")

from runtime.bench.load.fingerprints import difference, fingerprint  # noqa: E402


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.data())
def test_a_flipped_bit_is_found(raw: bytes, data: st.DataObject) -> None:
    tensor = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
    expected = {"w": fingerprint(tensor)}
    assert difference({"w": tensor.clone()}, expected) is None
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    other = tensor.clone()
    other[bit // 8] ^= 1 << bit % 8
    assert difference({"w": other}, expected) == "tensor w is not what was written"


def test_bits_count_and_not_numbers() -> None:
    zero = torch.tensor([0.0])
    assert difference({"w": -zero}, {"w": fingerprint(zero)}) is not None
    nan = torch.tensor([float("nan")])
    assert difference({"w": nan.clone()}, {"w": fingerprint(nan)}) is None


def test_names_shapes_and_types_count() -> None:
    tensor = torch.zeros(2, 3)
    expected = {"w": fingerprint(tensor)}
    assert difference({}, expected) == "there is no tensor w"
    assert difference({"w": tensor, "v": tensor}, expected) == (
        "there is a tensor v that was never written"
    )
    assert difference({"w": tensor.reshape(3, 2)}, expected) is not None
    assert difference({"w": tensor.view(torch.int32)}, expected) is not None


def test_how_elements_lie_in_memory_does_not_count() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert difference({"w": tensor.t().contiguous().t()}, {"w": fingerprint(tensor)}) is None
