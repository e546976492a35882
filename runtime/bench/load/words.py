"""The words by which a measured process is told its task, and those in which it answers.

They go through JSON. No torch is needed to say them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from runtime.loaders.formats import Format

#: `load` by any loader; the others only by the store: `pool` and `views` of what the pool holds
#: (copied to a block of the device, and as it lies), loads `together`, `attach` to an engine's
#: slot, `create` a pool and `import` a checkpoint.
TaskName = Literal["load", "pool", "views", "together", "attach", "create", "import"]
LOAD: Final = "load"


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of a task. Paths are those of one format; `copies` are read at the same time.

    `warm_up` is a small checkpoint of the format: loading it first brings in what a package
    imports or starts at its first use.
    """

    task: TaskName
    loader: str
    path: str
    form: Format
    device: str
    weight_bytes: int
    manifest: str
    copies: tuple[str, ...] = ()
    warm_up: str | None = None
    rank: int | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Lap:
    """One of the things done at the same time; `seconds` None: as long as the whole work."""

    seconds: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
