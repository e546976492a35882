"""How coarse a column of time stamps is: exact, rounded to a unit, or taken in batches.

It knows numbers of microseconds only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this many requests a common step may be chance.
ENOUGH_STAMPS = 32


def quantum_us(arrivals_us: NDArray[np.int64], unit_us: int) -> int:
    """The step, microseconds; 0 where the stamps are exact. `unit_us` is the format's resolution.

    Batches are told from the stamps: at least half of the gaps are zero and the others are near
    multiples of one step (the public Mooncake traces: 3 s, give or take 1 ms).
    """
    gaps: NDArray[Any] = np.diff(np.sort(arrivals_us))
    moved = gaps[gaps > 0]
    if len(arrivals_us) >= ENOUGH_STAMPS and len(moved) and len(moved) <= len(gaps) / 2:
        step = float(np.median(moved))
        multiples = np.maximum(1, np.rint(moved / step))
        if step > unit_us and np.all(np.abs(moved / multiples - step) <= 0.01 * step):
            return round(step)
    return unit_us if unit_us > 1 else 0


def unit_of(arrivals_us: NDArray[np.int64], unit_us: int) -> int:
    """`unit_us` where every stamp is a multiple of it, else 1: the decimals carry information."""
    return unit_us if not len(arrivals_us) or bool(np.all(arrivals_us % unit_us == 0)) else 1
