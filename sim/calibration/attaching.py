"""What an attach takes besides moving the adapter from the pool: the profile's `attach`."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from sim.calibration.predicting import predict_s
from sim.calibration.samples import MAD_TO_SIGMA, Cell
from sim.profiles import Profile, Spread

MOST_CV = 1.0  # above this a lognormal is no description of what was seen


@dataclass(frozen=True, slots=True)
class AttachFit:
    mean_s: float
    cv: float
    notes: tuple[str, ...] = ()


def fit_attach(profile: Profile, cells: Sequence[Cell]) -> AttachFit:
    """The median of what measured attaches take beyond the simulated move of their bytes.

    `profile` has its DRAM hop fitted; `cells` are attaches and not empty.
    """
    bare = without_attach(profile)
    moves_s = [predict_s(bare, cell.hop, cell.nbytes, cell.beside) for cell in cells]
    over_s = np.array(
        [
            seconds - move_s
            for cell, move_s in zip(cells, moves_s, strict=True)
            for seconds in cell.seconds
        ]
    )
    mean_s = float(np.median(over_s))
    if mean_s <= 0:
        note = "attach: measured attaches are no slower than the simulated move of their bytes"
        return AttachFit(0.0, 0.0, (note,))
    sigma_s = MAD_TO_SIGMA * float(np.median(np.abs(over_s - mean_s)))
    return AttachFit(mean_s, min(MOST_CV, sigma_s / mean_s))


def without_attach(profile: Profile) -> Profile:
    """An attach takes only the move of its bytes."""
    return msgspec.structs.replace(profile, attach=Spread(mean_s=0.0, source="a fit under way"))
