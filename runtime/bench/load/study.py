"""Runs the benchmark: for each checkpoint the files, then rounds of measurements, interleaved.

Every loader has its turn in every round, in an order of its own; the ceiling is taken just before
and just after each, so that what the machine does meanwhile falls on both. It measures and keeps
rows; what they say is worked out from the rows in `figures.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.bench.load.ceilings import Ceilings
from runtime.bench.load.checkpoints import BASES, Checkpoint
from runtime.bench.load.conversation import ChildError
from runtime.bench.load.ledger import Ledger
from runtime.bench.load.machine import machine
from runtime.bench.load.plan import MOST_CONCURRENT, STORE, Step, formats, shuffled, steps
from runtime.bench.load.preparing import Prepared, prepared
from runtime.bench.load.taking import Taker
from runtime.bench.load.words import LOAD
from runtime.bench.measurements import Measurements
from runtime.loaders.formats import LoaderError
from runtime.loaders.probing import Probed, probe

WARM_UP: Final = BASES["5m"]
SPARE_BYTES: Final = 64 << 20  # what formats add to the weights

Advance = Callable[[int, str], None]


INTERRUPTED: Final = "the rest"


@dataclass(frozen=True, slots=True)
class StudyAsked:
    """`only` names loaders; none: all. Files are made under `folder` and stay there if `keep`."""

    folder: Path
    checkpoints: tuple[Checkpoint, ...]
    rounds: int
    seed: int
    only: tuple[str, ...] = ()
    device: str = "cpu"
    keep: bool = False


class Study:
    """One run. `total` steps are told to `advance` as they are done."""

    def __init__(self, asked: StudyAsked) -> None:
        self._asked = asked
        probed = probe()
        _refuse_unknown(asked.only, probed)
        chosen = {name: one for name, one in probed.items() if not asked.only or name in asked.only}
        self.missing = {name: one.missing for name, one in chosen.items() if one.missing}
        self._loaders = {name: one.formats for name, one in chosen.items() if not one.missing}
        if not self._loaders:
            name, reason = next(iter(self.missing.items()))
            raise LoaderError(f"no loader that was asked for runs here; {name}: {reason}")
        self._ledger = Ledger()
        self._done = 0

    @property
    def total(self) -> int:
        return sum(len(self._steps(one)) for one in self._asked.checkpoints) * self._asked.rounds

    def run(self, advance: Advance) -> Measurements:
        """Raises StoreError: too full a disk, one that refuses O_DIRECT, files that stay cached."""
        largest = max(one.weight_bytes for one in self._asked.checkpoints)
        with Ceilings(largest + SPARE_BYTES) as ceilings:
            about = machine(self._asked.folder, ceilings.huge_share)
            try:
                for checkpoint in self._asked.checkpoints:
                    self._run_checkpoint(checkpoint, ceilings, advance)
            except KeyboardInterrupt:  # an hour's measurements are not thrown away
                self.missing[INTERRUPTED] = "Ctrl-C"
        return self._ledger.measurements(about, self._asked.seed, self.missing)

    def _run_checkpoint(self, checkpoint: Checkpoint, ceilings: Ceilings, advance: Advance) -> None:
        taker = Taker(ceilings, self._ledger, self._asked.device)
        at_once = MOST_CONCURRENT - 1 if self._is_concurrent(checkpoint) else 0
        with prepared(
            {WARM_UP: 0, checkpoint: at_once},
            self._asked.folder,
            formats(checkpoint, self._loaders),
            seed=self._asked.seed,
            keep=self._asked.keep,
            say=lambda what: advance(self._done, f"{checkpoint.name}: writing {what}"),
        ) as files:
            for number in range(1, self._asked.rounds + 1):
                self._ledger.round = number
                if checkpoint.kind == "base":
                    hot = ceilings.disk_hot_buffer(files[checkpoint].weights)
                    self._ledger.ceiling("disk_hot_buffer", hot)
                for step in shuffled(
                    self._steps(checkpoint), self._asked.seed, checkpoint.name, number
                ):
                    advance(self._done, f"{checkpoint.name} round {number}: {step.words()}")
                    self._try_step(step, checkpoint, files, taker)
                    self._done += 1
        advance(self._done, "")

    def _try_step(self, step: Step, checkpoint: Checkpoint, files: Prepared, taker: Taker) -> None:
        """What failed once is left out from then on, and said to be missing."""
        name = step.loader if step.task == LOAD else step.words()
        if name in self.missing:
            return
        try:
            taker.take(step, checkpoint, files[checkpoint], files[WARM_UP])
        except ChildError as error:
            self.missing[name] = f"{checkpoint.name}, {step.words()}: {error}"

    def _steps(self, checkpoint: Checkpoint) -> list[Step]:
        return steps(
            checkpoint,
            self._loaders,
            concurrent=self._is_concurrent(checkpoint),
            device=self._asked.device,
        )

    def _is_concurrent(self, checkpoint: Checkpoint) -> bool:
        """The smallest base model is loaded several times at once: it has the most copies."""
        bases = [one for one in self._asked.checkpoints if one.kind == "base"]
        if not bases or STORE not in self._loaders:
            return False
        return checkpoint == min(bases, key=lambda one: one.weight_bytes)


def _refuse_unknown(only: Sequence[str], probed: Mapping[str, Probed]) -> None:
    for name in only:
        if name not in probed:
            raise LoaderError(f"--only {name}: expected one of {', '.join(probed)}")
