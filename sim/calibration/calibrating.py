"""From samples to a profile: what is held out, the fit hop by hop, and every cell predicted.

It knows no file; `hotbed.calibration` turns measurements into what is asked for here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from sim.calibration.attaching import fit_attach
from sim.calibration.figures import (
    About,
    carried_over,
    described,
    machine_of,
    with_chunk,
    with_hop,
    with_measured_attach,
)
from sim.calibration.fitting import HopFit, fit_hop
from sim.calibration.hops import paced
from sim.calibration.phases import phase_lines
from sim.calibration.predicting import predict_s
from sim.calibration.record import Calibration, Fitted
from sim.calibration.samples import CalibrationError, Cell, Sample, cells_of, held_out
from sim.profiles import Figure, Profile

#: What others cross comes first: bytes from the SSD go over the same link to the card as DRAM's.
ORDER: Final = ("dram", "ssd", "remote")
FAR_OFF: Final = 0.25  # an error above this is said in words


@dataclass(frozen=True, slots=True)
class Task:
    """What to fit, on top of which base. `ceilings_bytes_per_s` by hop, where measured alone;
    `chunk_bytes` is the loader's, where it is known."""

    base: Profile
    base_name: str
    samples: Sequence[Sample]
    about: About
    measurements: str
    sha256: str
    machine: Mapping[str, str]
    loader: str
    device: str
    ceilings_bytes_per_s: Mapping[str, float] = field(default_factory=dict)
    hold_out: Sequence[str] = ()
    chunk_bytes: Figure | None = None
    notes: tuple[str, ...] = ()


def calibrate(task: Task) -> Profile:
    """The fitted profile, with the record of its fit. Raises CalibrationError."""
    cells = cells_of(task.samples)
    if not cells:
        raise CalibrationError("there is no load to fit; see the notes on what was left out")
    held = held_out(cells, task.hold_out)
    used = [cell for cell in cells if cell not in held]
    if not used:
        raise CalibrationError("hold-out leaves no load to fit")
    fits, trial = _fit_hops(task, used)
    profile = machine_of(carried_over(task.base, task.base_name), task.about)
    profile = with_chunk(profile, task.chunk_bytes)
    for fit in fits:
        own = [cell for cell in used if cell.hop == fit.hop]
        profile = with_hop(profile, fit, task.about, _residuals(trial, own))
    notes = [*task.notes, *(note for fit in fits for note in fit.notes)]
    attaches = [cell for cell in used if cell.hop == "attach"]
    if attaches:
        attach = fit_attach(profile, attaches)
        profile = with_measured_attach(profile, attach.mean_s, attach.cv, task.about)
        notes += attach.notes
    fitted_hops = [*(fit.hop for fit in fits), *(["attach"] if attaches else [])]
    profile = described(profile, task.about, task.base_name, fitted_hops)
    return _recorded(task, profile, (cells, held), notes)


def _fit_hops(task: Task, used: Sequence[Cell]) -> tuple[list[HopFit], Profile]:
    """The fits, and the base with all of them in place."""
    fits, trial = [], with_chunk(task.base, task.chunk_bytes)
    for hop in ORDER:
        own = [cell for cell in used if cell.hop == hop]
        if own:
            fits.append(fit_hop(trial, hop, own, task.ceilings_bytes_per_s.get(hop)))
            trial = paced(trial, hop, fits[-1].pace)
    return fits, trial


def _residuals(profile: Profile, cells: Sequence[Cell]) -> str:
    errors = [
        predict_s(profile, cell.hop, cell.nbytes, cell.beside) / cell.median_s - 1 for cell in cells
    ]
    mean, p95 = of_errors(errors)
    return f"fit of {len(cells)} cells; residuals: mean {mean:.1%}, 95th percentile {p95:.1%}"


def of_errors(errors: Collection[float]) -> tuple[float, float]:
    """Mean and 95th percentile of the absolute errors, which are not empty."""
    sizes = np.abs(list(errors))
    return float(np.mean(sizes)), float(np.percentile(sizes, 95))


def _recorded(
    task: Task,
    profile: Profile,
    cells: tuple[Sequence[Cell], Collection[Cell]],
    notes: Sequence[str],
) -> Profile:
    every, held = cells
    rows = tuple(_row(profile, cell, cell in held) for cell in every)
    missing = [hop for hop in (*ORDER, "attach") if not any(row.hop == hop for row in rows)]
    said = list(notes)
    if missing:
        said.append(f"not measured, as in {task.base_name} and assumed: {', '.join(missing)}")
    said += [
        f"{row.hop} {row.checkpoint} x{row.concurrent}: {row.error:+.0%} off; the model is not "
        "this one's"
        for row in rows
        if abs(row.error) > FAR_OFF
    ]
    record = Calibration(
        measurements=task.measurements,
        sha256=task.sha256,
        machine=dict(task.machine),
        loader=task.loader,
        device=task.device,
        base=task.base_name,
        cells=rows,
        phases=phase_lines(task.samples),
        notes=tuple(said),
    )
    return msgspec.structs.replace(profile, calibration=record)


def _row(profile: Profile, cell: Cell, held_out: bool) -> Fitted:
    low_s, high_s = cell.quartiles_s
    return Fitted(
        hop=cell.hop,
        checkpoint=cell.checkpoint,
        nbytes=cell.nbytes,
        concurrent=cell.concurrent,
        loads=len(cell.seconds),
        median_s=cell.median_s,
        low_s=low_s,
        high_s=high_s,
        predicted_s=predict_s(profile, cell.hop, cell.nbytes, cell.beside),
        held_out=held_out,
    )
