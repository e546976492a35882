"""What a parameter of a synthetic workload may be: one line naming it, its value and the range."""

import math

from traces.schema import TraceError


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Raise TraceError "name: value is not allowed: expected ..." unless `holds`."""
    if not holds:
        raise TraceError(f"{name}: {value!r} is not allowed: expected {allowed}")


def require_positive(name: str, value: float) -> None:
    require(0 < value < math.inf, name, value, "a finite number above 0")


def require_share(name: str, value: float) -> None:
    require(0 <= value <= 1, name, value, "a share from 0 to 1")


def require_exponent(name: str, value: float) -> None:
    require(0 <= value <= 10, name, value, "an exponent from 0 (uniform) to 10")


def require_count(name: str, value: int, least: int = 1) -> None:
    require(value >= least, name, value, f"a whole number of {least} or more")
