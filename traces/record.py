"""What one run was: columns of requests, tables of loads, attaches, migrations and copies.

Every derived number (`traces.metrics`), plot and report reads this and nothing else. It knows no
journal format, no percentile and no price. Times are seconds since the run began; a time that
never came is nan, an id or code that does not apply is -1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleet.domain import AdapterSpec, ModelSpec, NodeSpec, Shard

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SmallInts = NDArray[np.int32]
Codes = NDArray[np.int8]
Bools = NDArray[np.bool_]


class Outcome(IntEnum):
    """How a request ended. All but FINISHED miss the objective."""

    FINISHED = 0
    REJECTED = 1
    TIMED_OUT = 2
    FAILED = 3
    ABANDONED = 4
    UNFINISHED = 5


class Cold(IntEnum):
    """What a request waited for. COLD: its instance's load ended after it arrived."""

    WARM = 0
    ADAPTER_COLD = 1
    COLD = 2


class Source(IntEnum):
    """Where a load's bytes came from, slowest first; a load of many shards has its slowest."""

    REMOTE = 0
    SSD = 1
    PEER = 2
    DRAM = 3
    GPU = 4


class LoadEnd(StrEnum):
    """Whether a load made its instance ready, and what ended an instance."""

    OPEN = "open"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"
    NODE_LOST = "node lost"
    SLEPT = "slept"


class MoveEnd(IntEnum):
    """How a migration ended. OVERTAKEN: the request ended before it had moved."""

    MOVED = 0
    FAILED = 1
    OVERTAKEN = 2
    OPEN = 3


class Load(msgspec.Struct):
    """One start of an instance, or one waking: cards held from `started_at` to `ended_at`."""

    instance: int
    model: int
    shards: tuple[Shard, ...]
    source: Source
    started_at: float
    weight_bytes: int | None = None
    wakes: bool = False
    ready_at: float | None = None
    load_s: float | None = None
    ended_at: float | None = None
    end: LoadEnd = LoadEnd.OPEN


ATTACH: Final = np.dtype(
    [
        ("instance", "i4"),
        ("adapter", "i4"),
        ("source", "i1"),
        ("started_at", "f8"),
        ("done_at", "f8"),
        ("load_s", "f8"),
    ]
)
MOVE: Final = np.dtype(
    [
        ("request", "i8"),
        ("source", "i4"),
        ("target", "i4"),
        ("started_at", "f8"),
        ("done_at", "f8"),
        ("pause_s", "f8"),
        ("bytes_moved", "i8"),
        ("rounds", "i4"),
        ("outcome", "i1"),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """One row a request, in order of arrival; every column has shape (n,)."""

    id: Ints
    model: SmallInts
    adapter: SmallInts  # -1: the base model
    tenant: SmallInts
    prompt_tokens: SmallInts
    prefix_tokens: SmallInts  # of the prompt, in blocks that are named; 0 where none is
    arrived_at: Floats
    dispatched_at: Floats  # the last dispatch
    scheduled_at: Floats  # first in a batch; known of finished requests
    first_token_at: Floats
    ended_at: Floats
    tokens: SmallInts  # output tokens; 0 unless finished
    cached_tokens: SmallInts  # of the prompt, found in a prefix cache; 0 unless finished
    longest_gap_s: Floats
    instance: SmallInts  # of the last dispatch
    outcome: Codes  # Outcome
    cold: Codes  # Cold
    source: Codes  # Source of the load it waited for; -1 when warm
    load: SmallInts  # index into the record's loads of the one a cold request waited for, or -1
    load_wait_s: Floats  # seconds of its wait during which that load ran
    migrations: SmallInts
    preemptions: SmallInts

    def __len__(self) -> int:
        return len(self.id)

    @property
    def finished(self) -> Bools:
        """A mask of shape (n,)."""
        finished: Bools = self.outcome == Outcome.FINISHED
        return finished

    @property
    def dispatched(self) -> Bools:
        """A mask of shape (n,)."""
        dispatched: Bools = self.instance >= 0
        return dispatched

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(getattr(self, name).nbytes for name in self.__slots__)


class Copies(msgspec.Struct):
    """How often, and how many bytes, artifacts were copied without serving, and dropped."""

    fetches: dict[str, int] = msgspec.field(default_factory=dict)  # source -> count
    fetched_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    drops: dict[str, int] = msgspec.field(default_factory=dict)  # tier -> count


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """A run, complete enough for every metric, plot and timeline.

    `gaps` is the packed histogram (`fleet.gaps`) of the inter-token gaps of all finished requests.
    `phase_s` sums start-up phases, seconds, of the loads that became ready, by source and phase.
    """

    requests: Requests
    loads: tuple[Load, ...]
    attaches: NDArray[np.void]  # of dtype ATTACH
    attaches_failed: int
    moves: NDArray[np.void]  # of dtype MOVE
    copies: Copies
    gaps: int
    phase_s: Mapping[Source, Mapping[str, float]]
    nodes: Mapping[int, NodeSpec]
    nodes_seen_s: Mapping[int, tuple[float, float]]  # joined and lost (or the end of the run)
    models: Mapping[int, ModelSpec]
    adapters: Mapping[int, AdapterSpec]
    ended_at: float

    @property
    def ready_loads(self) -> list[Load]:
        return [load for load in self.loads if load.ready_at is not None]

    def model_name(self, model: int) -> str:
        """Its name, or "model 7" where the record has not been told one."""
        spec = self.models.get(model)
        return spec.name if spec is not None else f"model {model}"
