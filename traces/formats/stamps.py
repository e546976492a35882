"""Time stamps: where their time 0 is and how coarse they are.

It knows numbers of microseconds only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SECOND_US = 1_000_000
MILLISECOND_US = 1_000
# Below this many requests a common step may be chance.
ENOUGH_STAMPS = 32
# A first stamp beyond this (September 2001 in Unix time) counts from 1970, not from a start.
UNIX_TIME_US = 10**15


def since_start(stamps_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Unix times counted from the first of them; times since a start are left as they are."""
    if len(stamps_us) and int(stamps_us.min()) >= UNIX_TIME_US:
        return np.asarray(stamps_us - stamps_us.min(), dtype=np.int64)
    return stamps_us


def quantum_us(stamps_us: NDArray[np.int64], coarsest_us: int) -> int:
    """The step of the stamps, microseconds; 0 where they are exact to one microsecond.

    The largest of `coarsest_us` (the format's unit) and 1 ms that divides every stamp, unless the
    stamps come in batches: at least half of the gaps are zero and the others are near multiples of
    one step (the public Mooncake traces: 3 s, give or take 1 ms).
    """
    units = [unit for unit in (coarsest_us, MILLISECOND_US) if unit <= coarsest_us]
    divides = (unit for unit in units if unit > 1 and not np.any(stamps_us % unit))
    return _batch_step_us(stamps_us) or next(divides, 0)


def _batch_step_us(stamps_us: NDArray[np.int64]) -> int:
    gaps: NDArray[Any] = np.diff(np.sort(stamps_us))
    moved = gaps[gaps > 0]
    if len(stamps_us) < ENOUGH_STAMPS or not 0 < len(moved) <= len(gaps) / 2:
        return 0
    step = float(np.median(moved))
    multiples = np.maximum(1, np.rint(moved / step))
    even = np.all(np.abs(moved / multiples - step) <= 0.01 * step)
    return round(step) if even else 0
