"""Tensors over a block: every data type, nothing copied, what torch cannot make said."""

import pytest

pytest.importorskip("torch", reason="tensors are torch's")

import numpy as np
import torch

from runtime.store.errors import UnsupportedError
from runtime.store.format.dtypes import ITEM_BYTES
from runtime.store.format.index import Quantised
from runtime.store.format.sources import ExtentTensor
from runtime.store.loading.tensors import TORCH_DTYPES, block_of, dtype_name, dtype_of, views

PLAIN = sorted(name for name in TORCH_DTYPES if not name.startswith(("qint", "quint")))


def _block(size: int = 4096) -> torch.Tensor:
    return block_of(np.arange(size, dtype=np.uint8).data)


@pytest.mark.parametrize("name", sorted(TORCH_DTYPES))
def test_a_name_gives_the_type_and_the_type_the_name(name: str) -> None:
    assert dtype_name(dtype_of(name)) == name
    assert dtype_of(name).itemsize == ITEM_BYTES[name]


def test_the_format_knows_every_data_type_of_this_torch() -> None:
    found = {one for one in vars(torch).values() if isinstance(one, torch.dtype)}
    assert found <= set(TORCH_DTYPES.values())


def test_a_type_that_no_torch_has_is_said_to_be_unknown() -> None:
    with pytest.raises(UnsupportedError, match="dtype 'float3'"):
        dtype_of("float3")


@pytest.mark.parametrize("name", PLAIN)
def test_a_view_of_any_type_lies_where_it_is_said_to(name: str) -> None:
    block = _block()
    found = views(block, [ExtentTensor("x", name, (3, 2), (1, 5), 16)])["x"]
    assert found.dtype == dtype_of(name)
    assert found.data_ptr() == block.data_ptr() + 16
    assert found.untyped_storage().data_ptr() == block.untyped_storage().data_ptr()
    assert (found.shape, found.stride()) == ((3, 2), (1, 5))


def test_views_of_a_block_that_begins_within_its_storage_count_from_the_block() -> None:
    block = _block()[256:]
    found = views(block, [ExtentTensor("x", "float64", (2,), (1,), 8)])["x"]
    assert found.data_ptr() == block.data_ptr() + 8


def test_a_block_whose_length_splits_an_element_still_shows_those_before() -> None:
    found = views(_block(13), [ExtentTensor("x", "float32", (3,), (1,), 0)])["x"]
    assert found.shape == (3,)


def test_tied_tensors_are_the_same_memory() -> None:
    entries = [ExtentTensor(name, "float32", (4,), (1,), 64) for name in ("head", "embedding")]
    found = views(_block(), entries)
    found["head"][1] = 7.0
    assert found["embedding"][1] == 7.0


def test_an_empty_block_has_empty_tensors() -> None:
    found = views(_block(0), [ExtentTensor("x", "float32", (0, 3), (3, 1), 0)])["x"]
    assert found.shape == (0, 3)


@pytest.mark.parametrize(
    "how",
    [
        Quantised("per_tensor_affine"),
        Quantised("per_tensor_symmetric", scale=1.0, zero_point=0),
        Quantised("per_channel_affine", axis=0),
        Quantised("per_channel_affine", axis=0, scales="s", zero_points="z"),
    ],
)
def test_a_quantised_tensor_without_what_it_needs_is_refused_by_name(how: Quantised) -> None:
    with pytest.raises(UnsupportedError, match="tensor w"):
        views(_block(), [ExtentTensor("w", "quint8", (2, 2), (2, 1), 0, how)])
