"""What a fitted profile says of its fit: cells, residuals, what was held out, what was missing.

Data that goes with a profile and paces nothing. It knows neither profiles nor how to fit.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]


class Fitted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cell: `loads` measured times of one checkpoint over one hop, `concurrent` at once.

    `median_s`, `low_s` and `high_s` are the measured quartiles; `predicted_s` is the simulator's
    undisturbed load with the fitted profile. A `held_out` cell had no part in the fit.
    """

    hop: Text
    checkpoint: Text
    nbytes: Positive
    concurrent: Count
    loads: Count
    median_s: Positive
    low_s: Positive
    high_s: Positive
    predicted_s: Positive
    held_out: bool

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted_s / self.median_s - 1


class PhaseLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds of one phase of a load alone: base_s + s_per_byte * bytes. Phases may overlap."""

    hop: Text
    phase: Text
    base_s: NotNegative
    s_per_byte: NotNegative
    cells: Count


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fit that a profile comes from. `base` names the profile that all else was taken from.

    `sha256` is that of the measurements' file; `notes` say what was too little or left out.
    """

    measurements: Text
    sha256: Text
    machine: dict[str, str]
    loader: Text
    device: Text
    base: Text
    cells: tuple[Fitted, ...]
    phases: tuple[PhaseLine, ...] = ()
    notes: tuple[str, ...] = ()
