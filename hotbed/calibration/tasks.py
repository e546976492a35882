"""From a file of measurements and the command line's choices to a fitted profile.

It opens the files and names what they come from; fitting is the simulator's.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hotbed.calibration.samples import Taken, taken
from runtime.bench import measurements as files
from runtime.bench.measurements import Machine
from runtime.store.format.index import CHUNK_BYTES
from sim.calibration.calibrating import Task, calibrate
from sim.calibration.figures import About
from sim.calibration.samples import CalibrationError
from sim.profiles import Figure, Profile, load_profile

CPU_BASE: Final = "cpu"
GPU_BASE: Final = "h100"


@dataclass(frozen=True, slots=True)
class Choices:
    """`base` None is the usual one for the device; `command` is told in the profile."""

    base: str | None
    loader: str
    device: str | None
    hold_out: tuple[str, ...]
    command: str


def fitted(path: Path, chosen: Choices) -> tuple[Profile, Machine]:
    """The profile and the measured machine. Raises OSError, and ValueErrors of one line."""
    measured = files.read(path)
    used = taken(measured, chosen.loader, chosen.device)
    name, base = _base(chosen.base, used)
    machine = measured.machine
    task = Task(
        base=base,
        base_name=name,
        samples=used.samples,
        about=_about(machine, chosen.command, used.on_gpu),
        measurements=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        machine={key: str(value) for key, value in asdict(machine).items() if value is not None},
        loader=chosen.loader,
        device=used.device,
        ceilings_bytes_per_s=used.ceilings_bytes_per_s,
        hold_out=chosen.hold_out,
        chunk_bytes=_chunk(chosen.loader),
        notes=used.notes,
    )
    return calibrate(task), machine


def _chunk(loader: str) -> Figure | None:
    """Of this project's store; what others read at a time is not known."""
    if not loader.startswith("hotbed"):
        return None
    return Figure(value=CHUNK_BYTES, source="runtime/store/format/index.py: the unit of reading")


def _base(asked: str | None, used: Taken) -> tuple[str, Profile]:
    name = asked or (GPU_BASE if used.on_gpu else CPU_BASE)
    profile = load_profile(name)
    if (profile.kind.lower() == "cpu") is used.on_gpu:
        raise CalibrationError(
            f"--base is {name}, a profile of {profile.kind}; the loads went to {used.device}"
        )
    return Path(name).name if name.endswith(".json") else name, profile


def _about(machine: Machine, command: str, on_gpu: bool) -> About:
    if machine.memory_bytes < 2:
        raise CalibrationError(f"machine.memory_bytes is {machine.memory_bytes}; expected more")
    card = f", {machine.gpu}" if machine.gpu and on_gpu else ""
    where = f"{machine.cpu or 'an unnamed CPU'}, {machine.cores} cores, {machine.disk}{card}"
    return About(where, machine.date, command, machine.commit, machine.memory_bytes, on_gpu)
