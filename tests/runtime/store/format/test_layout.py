"""Where extents lie: aligned, apart, and small ones close together."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.store.format.layout import place
from runtime.store.format.sources import plain_extent
from tests.runtime.store.format.made import reader


@given(st.lists(st.integers(0, 20_000), max_size=20))
def test_extents_are_aligned_and_apart_and_the_file_ends_at_a_block(sizes: list[int]) -> None:
    offsets, size = place([plain_extent("a", "uint8", (one,), reader(b"")) for one in sizes])
    ends = [0, *(at + one for at, one in zip(offsets, sizes, strict=True))]
    for at, one, end in zip(offsets, sizes, ends, strict=False):
        assert at % (4096 if one >= 4096 else 256) == 0
        assert 0 <= at - end < 4096
    assert size % 4096 == 0
    assert 0 <= size - ends[-1] < 4096


def test_hundreds_of_small_storages_do_not_take_a_block_each() -> None:
    _, size = place([plain_extent("a", "uint8", (256,), reader(b"")) for _ in range(448)])
    assert size == 448 * 256
