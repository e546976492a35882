"""Which measurements a checkpoint gets in each round, and in which order: drawn anew every round.

It knows loaders by name and format; what they are and whether they run here it is told.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.bench.load.checkpoints import Checkpoint
from runtime.bench.load.words import LOAD, TaskName
from runtime.bench.measurements import Hop, What, Work
from runtime.loaders.formats import Format

STORE: Final = "hotbed"
PRIVATE: Final = "hotbed_private"
VIEWS: Final = "hotbed_views"
MOST_CONCURRENT: Final = 4
#: What a loader is given, where it reads several formats: the first that it reads.
PREFERRED: Final[tuple[Format, ...]] = (
    "hotbed",
    "safetensors",
    "torch",
    "tensorizer",
    "flashpack",
    "huggingface",
)
_BESIDE: Final[dict[Hop, What]] = {"ssd": "disk", "page_cache": "page_cache"}


@dataclass(frozen=True, slots=True)
class Step:
    """One measured process. `beside` is the ceiling taken just before and after it.

    With `work` it is a piece of other work than a load; `hop` says where its bytes come from.
    """

    task: TaskName
    loader: str
    form: Format
    hop: Hop
    beside: What | None
    concurrent: int = 1
    work: Work | None = None

    def words(self) -> str:
        """What a progress bar says."""
        where = {"ssd": "cold", "page_cache": "warm", "dram": "from the pool", "remote": "remote"}
        what = self.loader if self.work is None else self.work
        return f"{what} {where[self.hop]}" + (f" x{self.concurrent}" * (self.concurrent > 1))


def steps(
    checkpoint: Checkpoint,
    loaders: Mapping[str, frozenset[Format]],
    *,
    concurrent: bool,
    device: str = "cpu",
) -> list[Step]:
    """`loaders` run here. `concurrent`: loads of the store at the same time as well."""
    found = [
        Step(LOAD, name, form, hop, _BESIDE[hop])
        for name, form in _formats(checkpoint, loaders)
        for hop in ("ssd", "page_cache")
    ]
    if STORE in loaders:
        link: What = "memcpy" if device == "cpu" else "pcie"
        found += _of_the_store(checkpoint, link)
        if PRIVATE in loaders:
            found.append(Step("pool", PRIVATE, "hotbed", "dram", link))
        if concurrent:
            found += _at_once()
    return found


def formats(checkpoint: Checkpoint, loaders: Mapping[str, frozenset[Format]]) -> tuple[Format, ...]:
    """What must be on the disk. The Hugging Face folder, which holds the safetensors, always is."""
    wanted = {form for _, form in _formats(checkpoint, loaders)} - {"safetensors", "huggingface"}
    return ("huggingface", *(form for form in PREFERRED if form in wanted))


def shuffled(steps: Sequence[Step], seed: int, *names: object) -> list[Step]:
    """An order of its own for every seed, checkpoint and round."""
    order = list(steps)
    random.Random(" ".join(map(str, (seed, *names)))).shuffle(order)
    return order


def _formats(
    checkpoint: Checkpoint, loaders: Mapping[str, frozenset[Format]]
) -> Iterator[tuple[str, Format]]:
    """Each loader with the format it is given. An adapter alone is no model to build."""
    for name, reads in loaders.items():
        usable = reads - {"huggingface"} if checkpoint.kind == "adapter" else reads
        for form in PREFERRED:
            if form in usable:
                yield name, form
                break


def _of_the_store(checkpoint: Checkpoint, link: What) -> Iterator[Step]:
    yield Step("pool", STORE, "hotbed", "dram", link)
    if link == "memcpy":  # tensors in the host's memory are some of the CPU's alone
        yield Step("views", VIEWS, "hotbed", "dram", None)
    if checkpoint.kind == "adapter":
        yield Step("attach", STORE, "hotbed", "dram", link, work="attach")
        return
    yield Step("create", STORE, "hotbed", "dram", None, work="pool")
    yield Step("import", STORE, "safetensors", "page_cache", "disk_write", work="import")
    yield Step("import", STORE, "safetensors", "ssd", "disk_write", work="import_cold")


def _at_once() -> Iterator[Step]:
    for count in range(2, MOST_CONCURRENT + 1):
        yield Step("together", STORE, "hotbed", "ssd", "disk", concurrent=count)
