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
from runtime.bench.load.conversation import Child, ChildError
from runtime.bench.load.ledger import Ledger
from runtime.bench.load.machine import machine
from runtime.bench.load.places import Place, files_under
from runtime.bench.load.plan import MOST_CONCURRENT, STORE, Step, formats, shuffled, steps
from runtime.bench.load.preparing import Prepared, prepared
from runtime.bench.load.words import Asked
from runtime.bench.measurements import Measurements, What
from runtime.loaders.formats import LoaderError
from runtime.loaders.probing import Probed, probe
from runtime.store.errors import StoreError
from runtime.store.reading.page_cache import cached_share, drop_cached

COLD: Final = 0.01  # at most this share of a cold file may be in the page cache
WARM_UP: Final = BASES["5m"]
SPARE_BYTES: Final = 64 << 20  # what formats add to the weights

Advance = Callable[[int, str], None]


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
        about = machine(self._asked.folder)
        largest = max(one.weight_bytes for one in self._asked.checkpoints)
        with Ceilings(largest + SPARE_BYTES) as ceilings:
            for checkpoint in self._asked.checkpoints:
                self._run_checkpoint(checkpoint, ceilings, advance)
        return self._ledger.measurements(about, self._asked.seed, self.missing)

    def _run_checkpoint(self, checkpoint: Checkpoint, ceilings: Ceilings, advance: Advance) -> None:
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
                    self._try_step(step, checkpoint, files, ceilings)
                    self._done += 1
        advance(self._done, "")

    def _try_step(
        self, step: Step, checkpoint: Checkpoint, files: Prepared, ceilings: Ceilings
    ) -> None:
        """A loader that failed once is left out from then on, and said to be missing."""
        if step.loader in self.missing:
            return
        try:
            self._run_step(step, checkpoint, files, ceilings)
        except ChildError as error:
            self.missing[step.loader] = f"{checkpoint.name}, {step.words()}: {error}"

    def _run_step(
        self, step: Step, checkpoint: Checkpoint, files: Prepared, ceilings: Ceilings
    ) -> None:
        place = files[checkpoint]
        read = files_under(self._paths(step, place))
        with Child(self._words(step, checkpoint, files)) as child:
            child.prepare()
            self._set_cache(step, read, ceilings)
            cached = _cached_share(read[0])
            self._measure_beside(step, read[0], checkpoint, place, ceilings)
            outcome = child.go()
            self._measure_beside(step, read[0], checkpoint, place, ceilings)
            wrong = child.check()
        self._ledger.done(
            step,
            checkpoint,
            outcome,
            device=self._asked.device,
            cached_before=cached,
            identical=wrong is None,
        )

    def _set_cache(self, step: Step, read: Sequence[Path], ceilings: Ceilings) -> None:
        """Cold: really gone, or it is refused. Warm: read through once."""
        for path in read:
            if step.hop == "ssd":
                share = drop_cached(path)
                if share is not None and share > COLD:
                    raise StoreError(f"{path}: {share:.0%} stays in the page cache; not cold")
            elif step.hop == "page_cache":
                ceilings.page_cache(path)

    def _measure_beside(
        self, step: Step, path: Path, checkpoint: Checkpoint, place: Place, ceilings: Ceilings
    ) -> None:
        if step.beside is None:
            return
        takes: dict[What, Callable[[], tuple[int, float]]] = {
            "disk": lambda: ceilings.disk(path),
            "page_cache": lambda: ceilings.page_cache(path),
            "memcpy": lambda: ceilings.memcpy(checkpoint.weight_bytes),
            "disk_write": lambda: ceilings.disk_write(
                place.folder / "written", checkpoint.weight_bytes
            ),
        }
        self._ledger.ceiling(step.beside, takes[step.beside]())

    def _words(self, step: Step, checkpoint: Checkpoint, files: Prepared) -> Asked:
        place = files[checkpoint]
        paths = self._paths(step, place)
        return Asked(
            task=step.task,
            loader=step.loader,
            path=str(paths[0]),
            form=step.form,
            device=self._asked.device,
            weight_bytes=checkpoint.weight_bytes,
            manifest=str(place.manifest),
            copies=tuple(str(path) for path in paths) if step.task == "together" else (),
            warm_up=str(files[WARM_UP].path(step.form)),
            rank=checkpoint.rank,
            target=str(place.folder / "imported") if step.task == "import" else None,
        )

    def _paths(self, step: Step, place: Place) -> list[Path]:
        if step.concurrent > 1:
            return [place.copy(number) for number in range(step.concurrent)]
        return [place.path(step.form)]

    def _steps(self, checkpoint: Checkpoint) -> list[Step]:
        return steps(checkpoint, self._loaders, concurrent=self._is_concurrent(checkpoint))

    def _is_concurrent(self, checkpoint: Checkpoint) -> bool:
        """The smallest base model is loaded several times at once: it has the most copies."""
        bases = [one for one in self._asked.checkpoints if one.kind == "base"]
        if not bases or STORE not in self._loaders:
            return False
        return checkpoint == min(bases, key=lambda one: one.weight_bytes)


def _cached_share(path: Path) -> float | None:
    with path.open("rb") as file:
        return cached_share(file.fileno())


def _refuse_unknown(only: Sequence[str], probed: Mapping[str, Probed]) -> None:
    for name in only:
        if name not in probed:
            raise LoaderError(f"--only {name}: expected one of {', '.join(probed)}")
