"""What a writer is given: row-major steps as torch counts them."""

import pytest

from runtime.store.format.sources import Source, contiguous_stride, plain_extent
from tests.runtime.store.format.made import reader


@pytest.mark.parametrize(
    ("shape", "stride"),
    [((), ()), ((3,), (1,)), ((2, 3, 4), (12, 4, 1)), ((2, 0, 4), (4, 4, 1)), ((0,), (1,))],
)
def test_steps_of_a_row_major_tensor(shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    assert contiguous_stride(shape) == stride


def test_a_plain_extent_is_as_long_as_its_tensor_and_a_source_as_its_extents() -> None:
    extent = plain_extent("a", "bfloat16", (3, 5), reader(bytes(30)))
    assert extent.size_bytes == 30
    assert Source([[extent], [extent, extent]]).size_bytes == 90
