"""Sizes, durations and bandwidths in the units that people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.quantities import (
    BANDWIDTHS,
    DURATIONS,
    SIZES,
    bandwidth_bytes_per_s,
    duration_s,
    number,
    size_bytes,
)


@pytest.mark.parametrize(
    ("written", "nbytes"),
    [
        ("48GB", 48_000_000_000),
        ("13.3 GB", 13_300_000_000),
        ("13.3 GiB", round(13.3 * 2**30)),
        ("1e9", 1_000_000_000),
        (512, 512),
        ("64 KiB", 65_536),
    ],
)
def test_a_size_is_whole_bytes(written: object, nbytes: int) -> None:
    assert size_bytes(written) == nbytes


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("60s", 60.0), ("5m", 300.0), ("5min", 300.0), ("1.5h", 5400.0), ("200 ms", 0.2), (7, 7.0)],
)
def test_a_duration_is_seconds(written: object, seconds: float) -> None:
    assert duration_s(written) == pytest.approx(seconds, rel=1e-15)


def test_network_bandwidths_may_be_in_bits() -> None:
    assert bandwidth_bytes_per_s("10 Gbit/s") == bandwidth_bytes_per_s("1.25 GB/s") == 1.25e9


@pytest.mark.parametrize("written", ["", "GB", "1.2.3GB", "-1GB", "0", True, None, [1], "nan"])
def test_what_is_no_positive_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="it must be a size above 0"):
        size_bytes(written)


def test_an_unknown_unit_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="'Gb' is none of the units B, kB"):
        size_bytes("10 Gb")


@given(st.floats(1e-3, 1e6), st.sampled_from(sorted(DURATIONS)))
def test_a_unit_multiplies(value: float, unit: str) -> None:
    assert duration_s(f"{value!r} {unit}") == value * DURATIONS[unit]


@given(st.integers(1, 10**6), st.sampled_from(sorted(SIZES)))
def test_a_bandwidth_is_a_size_in_a_second(value: int, unit: str) -> None:
    assert bandwidth_bytes_per_s(f"{value}{unit}/s") == size_bytes(f"{value}{unit}")
    assert f"{unit}/s" in BANDWIDTHS


def test_numbers_that_yaml_takes_for_texts_are_numbers() -> None:
    assert number("1e9") == 1e9
    with pytest.raises(ValueError, match="it must be a number"):
        number("many")
