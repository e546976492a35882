"""Where profiles of this machine are written: the user's data folder, or where they are told to.

The profiles that come with the simulator change only by commit: no default leads there.
"""

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from sim.calibration.samples import CalibrationError
from sim.profiles import Profile, ProfileError, load_profile

PLOTS: Final = (".png", ".svg", ".pdf")
SILENT: Final = (("reason", ""), ("assumed", False))


def data_folder() -> Path:
    """For profiles: $XDG_DATA_HOME/hotbed/profiles, by default in ~/.local/share."""
    told = os.environ.get("XDG_DATA_HOME", "")
    root = Path(told) if told and Path(told).is_absolute() else Path.home() / ".local" / "share"
    return root / "hotbed" / "profiles"


def default_path(profile: Profile, machine: str, date: str) -> Path:
    """Named after the kind, the machine and the day. Raises CalibrationError inside the package."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"{profile.kind} {machine} {date[:10]}".lower()).strip("-")
    folder = data_folder().resolve()
    shipped = Path(str(files("sim"))).resolve()
    if folder.is_relative_to(shipped):
        raise CalibrationError(
            f"{folder} is inside the simulator's package, whose profiles change only by commit; "
            "name the file with --out"
        )
    return folder / f"{slug}.json"


def refuse_endings(out: Path | None, plot: Path | None) -> None:
    """Before anything is measured. Raises CalibrationError."""
    if out is not None and out.suffix != ".json":
        raise CalibrationError(f"--out is {out}; a profile's file ends in .json")
    if plot is not None and plot.suffix not in PLOTS:
        raise CalibrationError(f"--plot is {plot}; its ending is one of {', '.join(PLOTS)}")


def write_profile(profile: Profile, path: Path) -> None:
    """Whole or not at all, and only if the simulator can read it. Raises OSError, ProfileError."""
    text = msgspec.json.format(msgspec.json.encode(_bare(msgspec.to_builtins(profile))), indent=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.json")
    try:
        partial.write_bytes(text + b"\n")
        if load_profile(partial) != profile:
            raise ProfileError(f"{path}: the profile does not read back as it was written")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _bare(value: object) -> object:
    """Without what says nothing: absent parts, empty reasons, what is not assumed."""
    if isinstance(value, list | tuple):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _bare(item)
        for key, item in value.items()
        if not (item is None and key != "measured") and (key, item) not in SILENT
    }
