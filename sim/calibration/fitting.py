"""The numbers of one hop that make the simulator's loads take as long as the measured ones.

Weighted least squares on the logarithms of the cells' medians with a soft loss, so that a cell
that went wrong does not bend the rest. The model is the simulator itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from sim.calibration.hops import Pace, pace_of, paced
from sim.calibration.predicting import predict_s
from sim.calibration.samples import Cell, spread
from sim.profiles import Profile

#: No median is believed to better than this share: drift between rounds is no chance within one.
DRIFT: Final = 0.02
#: Sizes must differ by this factor for a constant to be told from a bandwidth.
SIZES_APART: Final = 2.0
#: One load that reaches this share of what several reach together has the whole link.
WHOLE_LINK: Final = 1.02

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HopFit:
    """`fitted` names what came from the cells: alone, base, link, cv. The rest is the base's."""

    hop: str
    pace: Pace
    cv: float | None
    fitted: frozenset[str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is free in one fit of `cells`; the rest stays as in `start`."""

    profile: Profile
    hop: str
    cells: Sequence[Cell]
    start: Pace
    free: tuple[str, ...] = field(default=("alone",))


def fit_hop(
    profile: Profile, hop: str, cells: Sequence[Cell], ceiling_bytes_per_s: float | None = None
) -> HopFit:
    """Fit one hop of `profile`, whose other hops are as they shall be.

    `cells` are not empty. `ceiling_bytes_per_s` is what the link gave at best when it was measured
    by itself; it stands for the link where no loads at once were measured.
    """
    alone = [cell for cell in cells if cell.concurrent == 1]
    together = [cell for cell in cells if cell.concurrent > 1]
    notes = []
    free = ["alone"]
    if _apart(cells):
        free.append("base")
    else:
        notes.append(
            f"{hop}: sizes within a factor of {SIZES_APART:g}; the constant stays the base's"
        )
    start = _start(profile, hop, cells, "base" in free)
    if together and alone:
        pace = _with_sharing(Asked(profile, hop, cells, start, (*free, "link")))
        free.append("link")
    else:
        pace = _fit(Asked(profile, hop, cells, start, tuple(free)))
        pace, note = _linked(profile, hop, pace, ceiling_bytes_per_s)
        notes.append(note)
        free += ["link"] if ceiling_bytes_per_s else []
    cv = spread(cells)
    if cv is None:
        notes.append(f"{hop}: no cell has three loads; the spread stays the base's")
    else:
        free.append("cv")
    return HopFit(hop, pace, cv, frozenset(free), tuple(notes))


def _apart(cells: Sequence[Cell]) -> bool:
    sizes = [cell.nbytes for cell in cells]
    return max(sizes) >= SIZES_APART * min(sizes)


def _start(profile: Profile, hop: str, cells: Sequence[Cell], base_too: bool) -> Pace:
    """Where to begin: the largest load's rate, and what the smallest took beside it."""
    fewest = min(cell.concurrent for cell in cells)
    least = [cell for cell in cells if cell.concurrent == fewest]
    small = min(least, key=lambda cell: cell.nbytes)
    large = max(least, key=lambda cell: cell.nbytes)
    rate = _total(large) / large.median_s
    left_s = small.median_s - _total(small) / rate
    base_s = max(0.1 * small.median_s, left_s) if base_too else pace_of(profile, hop).base_s
    return Pace(base_s, rate, rate)


def _total(cell: Cell) -> int:
    return cell.nbytes + sum(cell.beside)


def _linked(
    profile: Profile, hop: str, pace: Pace, ceiling_bytes_per_s: float | None
) -> tuple[Pace, str]:
    """With a link that nobody measured under several loads, and the note that says so."""
    own = pace_of(profile, hop)
    link = max(pace.alone_bytes_per_s, ceiling_bytes_per_s or own.link_bytes_per_s)
    what = "the measured ceiling" if ceiling_bytes_per_s else "the base's link"
    note = f"{hop}: no loads alone and at once to compare; {what} stands for what they share"
    return Pace(pace.base_s, pace.alone_bytes_per_s, link, own.sharing_loss), note


def _with_sharing(asked: Asked) -> Pace:
    """The link first, without a loss; the loss where that does not do.

    One number of loads at once cannot tell a narrow link from one that loses by sharing: there the
    loss is only for a link that gives several loads less than one.
    """
    pace = _fit(asked)
    levels = {cell.concurrent for cell in asked.cells if cell.concurrent > 1}
    rest = tuple(name for name in asked.free if name != "link")
    if pace.link_bytes_per_s <= WHOLE_LINK * pace.alone_bytes_per_s:
        start = Pace(pace.base_s, pace.alone_bytes_per_s, pace.alone_bytes_per_s)
        return _fit(Asked(asked.profile, asked.hop, asked.cells, start, (*rest, "loss")))
    if len(levels) > 1:
        return _fit(Asked(asked.profile, asked.hop, asked.cells, pace, (*rest, "link", "loss")))
    return pace


def _fit(asked: Asked) -> Pace:
    scale_s = min(cell.median_s for cell in asked.cells)
    start = [_coded(asked, name, scale_s) for name in asked.free]
    low = [-math.inf if name == "alone" else 0.0 for name in asked.free]
    weights = np.array([1 / _uncertainty(cell) for cell in asked.cells])
    measured = np.log([cell.median_s for cell in asked.cells])

    def residuals(coded: Vector) -> Vector:
        trial = paced(asked.profile, asked.hop, _decoded(asked, coded, scale_s))
        seconds = [predict_s(trial, cell.hop, cell.nbytes, cell.beside) for cell in asked.cells]
        found: Vector = weights * (np.log(seconds) - measured)
        return found

    solved: Any = least_squares(residuals, start, bounds=(low, math.inf), loss="soft_l1")
    return _decoded(asked, solved.x, scale_s)


def _uncertainty(cell: Cell) -> float:
    """Of the logarithm of a cell's median: its own spread (a median's standard error is 1.25 of a
    mean's) and the drift that it cannot show."""
    cv = spread([cell]) or 0.0
    return math.hypot(DRIFT, 1.25 * cv / math.sqrt(len(cell.seconds)))


def _coded(asked: Asked, name: str, scale_s: float) -> float:
    """All about 1 in size and inside the bounds: logarithms of rates, a constant in scale_s."""
    start = asked.start
    if name == "alone":
        return math.log(start.alone_bytes_per_s)
    if name == "base":
        return start.base_s / scale_s + 1e-3
    if name == "link":
        return max(0.01, math.log(_best_together(asked) / start.alone_bytes_per_s))
    return start.sharing_loss + 0.02


def _best_together(asked: Asked) -> float:
    return max(_total(cell) / cell.median_s for cell in asked.cells)


def _decoded(asked: Asked, coded: Vector, scale_s: float) -> Pace:
    found = dict(zip(asked.free, map(float, coded), strict=True))
    start = asked.start
    alone = math.exp(found["alone"]) if "alone" in found else start.alone_bytes_per_s
    share = found.get("link")
    link = max(alone, start.link_bytes_per_s) if share is None else alone * math.exp(share)
    if share is None and "loss" in found:
        link = alone
    base_s = found["base"] * scale_s if "base" in found else start.base_s
    return Pace(base_s, alone, link, found.get("loss", start.sharing_loss))
