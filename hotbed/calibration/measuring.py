"""The measurement that a calibration needs: this project's loads alone, of several sizes.

What is measured, and how, is `runtime.bench.load`'s; this chooses what is enough for a fit.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hotbed.progress import bar
from sim.calibration.samples import CalibrationError

SIZES: Final = ("1g", "2.4g", "4g")
RANKS: Final = (8, 16, 64)
ROUNDS: Final = 5
SEED: Final = 0


def measure(into: Path, folder: Path, rounds: int | None = None) -> Path:
    """Load checkpoints made in `folder`, and write what came of it to a file in `into`.

    Raises CalibrationError without torch, StoreError where the store does not run, OSError.
    """
    if find_spec("torch") is None:
        raise CalibrationError(
            "measuring needs torch: pip install -r requirements-live.lock; or give a file of "
            "measurements"
        )
    from runtime.bench.load.checkpoints import adapter, base
    from runtime.bench.load.study import Study, StudyAsked
    from runtime.bench.measurements import write

    checkpoints = (*(base(size) for size in SIZES), *(adapter(rank) for rank in RANKS))
    asked = StudyAsked(folder, checkpoints, rounds or ROUNDS, SEED, only=("hotbed",))
    study = Study(asked)
    for needed in (folder, into):
        needed.mkdir(parents=True, exist_ok=True)
    with bar("loads", study.total, "measurements") as advance:
        measured = study.run(advance)
    day = re.sub(r"[^0-9T]", "", measured.machine.date)
    path = into / f"loads-{day}.json"
    write(measured, path)
    return path
