"""Sizes, durations and bandwidths as people write them: "13.3 GiB", "5m", "10 Gbit/s".

Plain numbers are bytes, seconds and bytes per second. It knows units, and no field that has one.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

SIZES: Final[Mapping[str, float]] = {
    "B": 1,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "PB": 1e15,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
DURATIONS: Final[Mapping[str, float]] = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
BANDWIDTHS: Final[Mapping[str, float]] = {
    **{f"{unit}/s": size for unit, size in SIZES.items()},
    "Mbit/s": 1e6 / 8,
    "Gbit/s": 1e9 / 8,
}

_WRITTEN: Final = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z/]*)\s*")


def size_bytes(written: object) -> int:
    """Bytes of "48GB", "13.3 GiB" or a number. Raises ValueError."""
    return round(_quantity(written, SIZES, 'a size above 0 such as "48GB", "13.3 GiB" or bytes'))


def duration_s(written: object) -> float:
    """Seconds of "200ms", "5m", "1.5h" or a number. Raises ValueError."""
    return _quantity(written, DURATIONS, 'a duration above 0 such as "200ms", "60s", "5m" or "1h"')


def bandwidth_bytes_per_s(written: object) -> float:
    """Bytes per second of "5 GB/s", "10 Gbit/s" or a number. Raises ValueError."""
    return _quantity(written, BANDWIDTHS, 'a bandwidth above 0 such as "5 GB/s" or "10 Gbit/s"')


def number(written: object) -> float:
    """A finite number; YAML 1.1 takes 1e9 for a text, so texts that are numbers count. Raises
    ValueError."""
    value = _quantity(written, {}, "a number", positive=False)
    return value


def _quantity(
    written: object, units: Mapping[str, float], allowed: str, *, positive: bool = True
) -> float:
    value = _value(written, units)
    if value is None or not math.isfinite(value) or (positive and value <= 0):
        raise ValueError(f"it must be {allowed}{_units_hint(written, units)}")
    return value


def _value(written: object, units: Mapping[str, float]) -> float | None:
    if isinstance(written, bool):
        return None
    if isinstance(written, int | float):
        return float(written)
    match = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        return None
    factor = units.get(match[2]) if match[2] else 1.0
    try:
        return None if factor is None else float(match[1]) * factor
    except ValueError:  # two points in a number
        return None


def _units_hint(written: object, units: Mapping[str, float]) -> str:
    """The units, where it was the unit that is unknown."""
    match = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
    if match is None or not match[2] or match[2] in units or not units:
        return ""
    return f"; {match[2]!r} is none of the units {', '.join(units)}"
