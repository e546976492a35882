"""Measured loads as plain values: samples, the cells that they fall into, and who is held out.

It knows neither files, loaders nor profiles.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

#: Where the bytes come from, as far as the simulator has such a tier; `attach` is an adapter of the
#: pool on its way into an engine's slot.
HOPS: Final = ("dram", "ssd", "remote", "attach")
MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution
ENOUGH: Final = 3  # loads in a cell before its spread says anything


class CalibrationError(ValueError):
    """Measurements that cannot be fitted; the message names what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One load of `nbytes`, while others of `beside` bytes each began with it."""

    hop: str
    checkpoint: str
    nbytes: int
    seconds: float
    beside: tuple[int, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.hop not in HOPS:
            raise CalibrationError(f"hop is {self.hop!r}; allowed are {', '.join(HOPS)}")
        if self.nbytes <= 0 or min(self.beside, default=1) <= 0:
            raise CalibrationError(f"{self.checkpoint}: a load of no bytes says nothing")
        if not 0 < self.seconds < math.inf:
            raise CalibrationError(
                f"{self.checkpoint}: seconds is {self.seconds}; it must be above 0 and finite"
            )


@dataclass(frozen=True, slots=True)
class Cell:
    """All samples that differ in nothing but chance."""

    hop: str
    checkpoint: str
    nbytes: int
    beside: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def concurrent(self) -> int:
        return 1 + len(self.beside)

    @property
    def median_s(self) -> float:
        return float(np.median(self.seconds))

    @property
    def quartiles_s(self) -> tuple[float, float]:
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)

    @property
    def name(self) -> str:
        return f"{self.hop} {self.checkpoint} x{self.concurrent}"


def cells_of(samples: Iterable[Sample]) -> list[Cell]:
    """In the order of hop, concurrency and size."""
    groups: dict[tuple[str, str, int, tuple[int, ...]], list[float]] = {}
    for one in samples:
        key = (one.hop, one.checkpoint, one.nbytes, tuple(sorted(one.beside)))
        groups.setdefault(key, []).append(one.seconds)
    cells = [Cell(*key, tuple(seconds)) for key, seconds in groups.items()]
    return sorted(
        cells,
        key=lambda c: (HOPS.index(c.hop), c.concurrent, c.nbytes, c.checkpoint, c.beside),
    )


def spread(cells: Sequence[Cell]) -> float | None:
    """The coefficient of variation of a load about its cell's median, over all cells; or None.

    Robust: from the median absolute deviation of the logarithms. The least deviation of each cell
    is left out, for the median is taken from the same loads (with it the result is a fifth too
    small at five loads; without it, within 6 % from three loads on). None where no cell has enough.
    """
    deviations: list[float] = []
    for cell in cells:
        if len(cell.seconds) >= ENOUGH:
            median_s = cell.median_s
            own = sorted(abs(math.log(seconds / median_s)) for seconds in cell.seconds)
            deviations += own[1:]
    if not deviations:
        return None
    sigma = MAD_TO_SIGMA * float(np.median(deviations))
    return math.sqrt(math.expm1(sigma * sigma))


def held_out(cells: Sequence[Cell], names: Sequence[str] = ()) -> frozenset[Cell]:
    """The cells that are kept from the fit, whole.

    By name (a checkpoint, or x3 for three at once), or else by rule: in each hop the second of
    every three sizes among loads alone and among concurrent ones, and three at once where two and
    four at once are there. Raises CalibrationError for a name that no cell has.
    """
    if names:
        known = {cell.checkpoint for cell in cells} | {f"x{cell.concurrent}" for cell in cells}
        for name in names:
            if name not in known:
                raise CalibrationError(
                    f"hold-out is {name!r}; allowed are {', '.join(sorted(known))}"
                )
        chosen = {c for c in cells if c.checkpoint in names or f"x{c.concurrent}" in names}
        return frozenset(chosen)
    out: set[Cell] = set()
    for hop in HOPS:
        own = [cell for cell in cells if cell.hop == hop]
        for alone in (True, False):
            group = [cell for cell in own if (cell.concurrent == 1) is alone]
            sizes = sorted({cell.nbytes for cell in group})
            held = set(sizes[1:-1:3])
            out |= {cell for cell in group if cell.nbytes in held}
        if {2, 4} <= {cell.concurrent for cell in own}:
            out |= {cell for cell in own if cell.concurrent == 3}
    return frozenset(out)
