"""Digests over values: they depend on the numbers, and on nothing else."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.store.format import values
from runtime.store.format.hashing import DEFAULT_HASH
from runtime.store.format.sources import ExtentTensor, Source, plain_extent
from runtime.store.format.values import row_major, value_digest
from runtime.store.format.writing import write_checkpoint
from tests.runtime.store.format.made import reader


def test_a_transposed_view_has_the_digest_of_its_copy() -> None:
    numbers = np.arange(12, dtype=np.float32).reshape(3, 4)
    view = ExtentTensor("a", "float32", (4, 3), (1, 4))
    copy = ExtentTensor("a", "float32", (4, 3), (3, 1))
    of_view = value_digest(DEFAULT_HASH, memoryview(numbers.tobytes()), view)
    of_copy = value_digest(DEFAULT_HASH, memoryview(numbers.T.tobytes()), copy)
    assert of_view == of_copy


@settings(max_examples=50, deadline=None)
@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=4), piece=st.integers(8, 64))
def test_elements_come_in_order_in_small_pieces(shape: list[int], piece: int) -> None:
    numbers = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    turned = numbers.T
    strides = tuple(step // 4 for step in turned.strides)
    tensor = ExtentTensor("a", "int32", turned.shape, strides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "PIECE_BYTES", piece)
        pieces = list(row_major(memoryview(numbers.tobytes()), tensor))
    assert b"".join(pieces) == turned.tobytes()


def test_an_expanded_tensor_is_never_held_whole() -> None:
    tensor = ExtentTensor("a", "uint8", (1 << 20, 64), (0, 1))
    sizes = [piece.nbytes for piece in row_major(memoryview(bytes(64)), tensor)]
    assert sum(sizes) == 1 << 26
    assert max(sizes) <= values.PIECE_BYTES


def _digest(extents: list[tuple[str, bytes]]) -> str:
    made = [plain_extent(name, "uint8", (len(data),), reader(data)) for name, data in extents]
    with tempfile.TemporaryDirectory() as folder:
        return write_checkpoint(Source([made]), Path(folder) / "a").digest


def test_a_checkpoint_s_digest_depends_on_names_and_values_and_not_on_their_order() -> None:
    plain = _digest([("a", b"1"), ("b", b"2")])
    assert plain == _digest([("b", b"2"), ("a", b"1")])
    assert plain != _digest([("a", b"2"), ("b", b"1")])
    assert plain != _digest([("a", b"1"), ("c", b"2")])
