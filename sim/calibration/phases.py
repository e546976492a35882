"""Where a load's time goes, by phase: a constant and a time a byte, for the record of a fit.

Phases overlap (reading and copying do), so they pace nothing; they say what to make faster.
"""

from collections.abc import Iterable

import numpy as np
from scipy.optimize import nnls

from sim.calibration.record import PhaseLine
from sim.calibration.samples import HOPS, Sample


def phase_lines(samples: Iterable[Sample]) -> tuple[PhaseLine, ...]:
    """Of loads alone, for every phase that was timed at two sizes or more."""
    times: dict[tuple[str, str], dict[int, list[float]]] = {}
    for one in samples:
        for phase, seconds in one.phases.items() if not one.beside else ():
            times.setdefault((one.hop, phase), {}).setdefault(one.nbytes, []).append(seconds)
    ordered = sorted(times.items(), key=lambda item: (HOPS.index(item[0][0]), item[0][1]))
    return tuple(
        _line(hop, phase, by_size) for (hop, phase), by_size in ordered if len(by_size) > 1
    )


def _line(hop: str, phase: str, by_size: dict[int, list[float]]) -> PhaseLine:
    """Least squares over the sizes' medians, in shares of each, with nothing below zero."""
    sizes = sorted(by_size)
    medians = np.array([float(np.median(by_size[size])) for size in sizes])
    kept = np.maximum(medians, 1e-9)  # a phase of no time has no share; a nanosecond will do
    scale = float(max(sizes))
    rows = np.column_stack([1 / kept, np.array(sizes) / scale / kept])
    base_s, slope = map(float, nnls(rows, medians / kept)[0])
    return PhaseLine(
        hop=hop, phase=phase, base_s=base_s, s_per_byte=slope / scale, cells=len(sizes)
    )
