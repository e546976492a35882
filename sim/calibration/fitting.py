"""The numbers of one hop that make the simulator's loads take as long as the measured ones.

Weighted least squares on the logarithms of the cells' medians with a soft loss, so that a cell
that went wrong does not bend the rest. The model is the simulator itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
#: Where fits of a link begin, in times of one load's rate.
STARTS: Final = (1.05, 1.6, 2.6, 3.6)
#: A fit with one number more must leave at most this share of the cost.
BETTER: Final = 0.9
MOST_STEPS: Final = 80

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
    free: tuple[str, ...]
    link: float = 1.05  # where to begin: the link, in times of one load's rate
    loss: float = 0.02


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
        pace, _ = _fit(Asked(profile, hop, cells, start, tuple(free)))
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
    """A link without a loss, a loss on a link that one load fills, or both: the simplest that fits.

    One number of loads at once cannot tell a narrow link from one that loses by sharing, so both
    are asked of two numbers or more only. They have kinks, and so several starts.
    """
    rest = tuple(name for name in asked.free if name != "link")
    narrow = replace(asked, free=(*rest, "loss"))
    found = [min((_fit(replace(asked, link=link)) for link in STARTS), key=_cost), _fit(narrow)]
    best = min(found, key=_cost)
    if len({cell.concurrent for cell in asked.cells if cell.concurrent > 1}) > 1:
        both = replace(asked, free=(*rest, "link", "loss"))
        tried = [
            _fit(replace(both, link=link, loss=loss)) for link in STARTS for loss in (0.02, 0.3)
        ]
        fuller = min(tried, key=_cost)
        if fuller[1] < BETTER * best[1]:
            best = fuller
    return best[0]


def _cost(found: tuple[Pace, float]) -> float:
    return found[1]


def _fit(asked: Asked) -> tuple[Pace, float]:
    """The best numbers, and the cost that is left."""
    scale_s = min(cell.median_s for cell in asked.cells)
    start = [_coded(asked, name, scale_s) for name in asked.free]
    widest = math.log(max(cell.concurrent for cell in asked.cells)) + 0.1
    low = [-math.inf if name == "alone" else 0.0 for name in asked.free]
    high = [
        max(widest, math.log(STARTS[-1]) + 0.1) if name == "link" else math.inf
        for name in asked.free
    ]
    weights = np.array([1 / _uncertainty(cell) for cell in asked.cells])
    measured = np.log([cell.median_s for cell in asked.cells])

    def residuals(coded: Vector) -> Vector:
        trial = paced(asked.profile, asked.hop, _decoded(asked, coded, scale_s))
        seconds = [predict_s(trial, cell.hop, cell.nbytes, cell.beside) for cell in asked.cells]
        found: Vector = weights * (np.log(seconds) - measured)
        return found

    solved: Any = least_squares(
        residuals, start, bounds=(low, high), loss="soft_l1", max_nfev=MOST_STEPS
    )
    return _decoded(asked, solved.x, scale_s), float(solved.cost)


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
        return math.log(asked.link)
    return asked.loss


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
