"""One measurement: the cache as it must be, the ceiling, the work, the ceiling, the bits.

The work is done by a process of its own that is ready beforehand; see `child.py`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from runtime.bench.load.ceilings import Ceilings
from runtime.bench.load.checkpoints import Checkpoint
from runtime.bench.load.conversation import Child
from runtime.bench.load.ledger import Ledger
from runtime.bench.load.places import Place, files_under
from runtime.bench.load.plan import Step
from runtime.bench.load.words import Asked
from runtime.bench.measurements import What
from runtime.store.errors import StoreError
from runtime.store.reading.page_cache import cached_share, drop_cached

COLD: Final = 0.01  # at most this share of a cold file may be in the page cache


class Taker:
    """Takes measurements with the same ceilings into the same ledger."""

    def __init__(self, ceilings: Ceilings, ledger: Ledger, device: str) -> None:
        self._ceilings = ceilings
        self._ledger = ledger
        self._device = device

    def take(self, step: Step, checkpoint: Checkpoint, place: Place, warm_up: Place) -> None:
        """Raises ChildError where the process fails, StoreError where files do not leave the
        page cache.
        """
        paths = _paths(step, place)
        read = files_under(paths)
        asked = Asked(
            task=step.task,
            loader=step.loader,
            path=str(paths[0]),
            form=step.form,
            device=self._device,
            weight_bytes=checkpoint.weight_bytes,
            manifest=str(place.manifest),
            copies=tuple(str(path) for path in paths),
            warm_up=str(warm_up.path(step.form)),
            rank=checkpoint.rank,
            target=str(place.folder / "imported"),
        )
        with Child(asked) as child:
            child.prepare()
            self._set_cache(step, read)
            cached = _cached_share(read[0])
            note_ceiling = self._noting(step, read[0], asked, child)
            note_ceiling()
            outcome = child.go()
            note_ceiling()
            wrong = child.check()
        self._ledger.done(
            step,
            checkpoint,
            outcome,
            device=self._device,
            cached_before=cached,
            identical=wrong is None,
        )

    def _set_cache(self, step: Step, read: Sequence[Path]) -> None:
        """Cold: really gone, or it is refused. Warm: read through once."""
        for path in read:
            if step.hop == "ssd":
                share = drop_cached(path)
                if share is not None and share > COLD:
                    raise StoreError(f"{path}: {share:.0%} stays in the page cache; not cold")
            elif step.hop == "page_cache":
                self._ceilings.page_cache(path)

    def _noting(self, step: Step, path: Path, asked: Asked, child: Child) -> Callable[[], None]:
        """What measures the ceiling of the step and writes it down, whenever it is called."""
        what, size, ceilings = step.beside, asked.weight_bytes, self._ceilings
        written = Path(asked.manifest).with_name("written")
        takes: dict[What | None, Callable[[], tuple[int, float]]] = {
            "disk": lambda: ceilings.disk(path),
            "page_cache": lambda: ceilings.page_cache(path),
            "memcpy": lambda: ceilings.memcpy(size),
            "disk_write": lambda: ceilings.disk_write(written, size),
            "pcie": child.link,
        }

        def note() -> None:
            if what is not None:
                self._ledger.ceiling(what, takes[what]())

        return note


def _paths(step: Step, place: Place) -> list[Path]:
    if step.concurrent > 1:
        return [place.copy(number) for number in range(step.concurrent)]
    return [place.path(step.form)]


def _cached_share(path: Path) -> float | None:
    with path.open("rb") as file:
        return cached_share(file.fileno())
