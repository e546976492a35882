"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.numerals import compact, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.00012, "1.20e-04"),
        (1.2345, "1.23"),
        (999.7, "1,000"),
        (12345.6, "12,346"),
        (-4.0, "-4"),
    ],
)
def test_numbers_have_three_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999.0, "999"),
        (1_705.0, "1.71k"),
        (9_999.0, "10k"),
        (12_345.0, "12.3k"),
        (999_900.0, "1M"),
        (-2.5e7, "-25M"),
        (3e13, "30T"),
    ],
)
def test_large_numbers_are_compact_where_there_is_no_room(value: float, text: str) -> None:
    assert compact(value) == text


@given(st.floats(1e-2, 9.9e14))
def test_compact_numbers_are_short(value: float) -> None:
    assert len(compact(value)) <= 6
