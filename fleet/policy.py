"""The questions a policy answers. The controller asks; it alone acts.

Each question is a Protocol with one method; each answer is a value; None means "not now". A policy
gets a read-only `View`, keeps its own state on itself, and may be asked again at any event. It
never sees an output length or a clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fleet.domain import ArtifactId, ModelId, ModelSpec, NodeId, Request, Tier
from fleet.holders import Instance
from fleet.lanes import Lane, Lanes
from fleet.needs import Need, Needs
from fleet.plans import Plan
from fleet.pools import Entry, Pool
from fleet.view import View


@dataclass(frozen=True, slots=True)
class Refuse:
    """Turn a request away. HTTP's 429; the client may come back after `retry_after_s`."""

    reason: str
    retry_after_s: float | None = None


class Full(Enum):
    """A typed no: no node has room for any need of this share, until capacity changes."""

    FULL = auto()


FULL = Full.FULL
Placed: TypeAlias = Plan | Full | None


@dataclass(frozen=True, slots=True)
class Clearing:
    """How to make room on a node: what to do first, when it is free, what that takes from others.

    `cost_s` is service time taken from others, in seconds.
    """

    plan: Plan
    free_at: float
    cost_s: float
    free_bytes: tuple[int, ...]  # by card, once the plan is done


@dataclass(frozen=True, slots=True)
class Rest:
    """What becomes of an idle instance after `after_s` more idle seconds: 0 stop, else sleep."""

    after_s: float
    level: int = 0


class Admission(Protocol):
    def admit(self, request: Request, view: View) -> Refuse | None:
        """Asked once, on arrival. None takes the request in."""


class Ordering(Protocol):
    def next(self, lanes: Lanes, view: View) -> Lane | None:
        """Which open lane is offered a free slot next. None only if no lane is open."""


class Arbitration(Protocol):
    def next(self, needs: Needs, view: View) -> Need | None:
        """Which unmet need is tried first when capacity changed. None only if none is open."""


class Routing(Protocol):
    def route(self, request: Request, view: View) -> Instance | None:
        """A ready instance with a free slot, or None to wait.

        If the request's adapter is not attached there, the controller attaches it first and
        the request waits for that.
        """


class Scaling(Protocol):
    def wanted(self, model: ModelId, view: View) -> int:
        """How many instances there should be, starting ones included. Asked when a queue grows."""


class Room(Protocol):
    def reach(self, model: ModelSpec, view: View) -> npt.NDArray[np.bool_]:
        """By node: could this make room there at all? A cheap bound; false means no."""

    def make(self, node: NodeId, model: ModelSpec, view: View) -> Clearing | None:
        """How to free one stage's share on the node, at least cost; None if it cannot."""


class Placement(Protocol):
    def place(self, need: Need, view: View, room: Room) -> Placed:
        """A plan that starts (or wakes) one instance; `FULL` or None if that cannot be now."""


class Retention(Protocol):
    def keeps(self, artifact: ArtifactId, tier: Tier, view: View) -> bool:
        """Whether a copy should stay in this tier when an artifact passes through it."""

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        """Evictable entries whose sizes add up to `need` at least; None if it will not."""

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        """An entry was used or came in; the controller has already moved it to the recent end."""


class KeepAlive(Protocol):
    def rest(self, instance: Instance, view: View) -> Rest | None:
        """Asked when an instance goes idle, and once it has gone to sleep. None: keep it."""


class Upkeep(Protocol):
    """Background work, asked every `every_s` seconds: prefetch, rebalancing, defragmentation."""

    @property
    def every_s(self) -> float: ...

    def tend(self, view: View) -> Iterable[Plan]:
        """Plans to begin; each is applied before the next is asked for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One answer for every question: a whole system."""

    admission: Admission
    ordering: Ordering
    arbitration: Arbitration
    routing: Routing
    scaling: Scaling
    placement: Placement
    room: Room
    retention: Retention
    keep_alive: KeepAlive
    upkeep: tuple[Upkeep, ...] = ()
    online_estimates: bool = True
