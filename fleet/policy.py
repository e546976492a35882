"""The questions a policy answers. The controller asks; it alone acts.

Each question is a Protocol with one method; each answer is a value; None means "not now". A policy
gets a read-only `View`, keeps its own state on itself, and may be asked again at any event. It
never sees an output length or a clock. Beside its question a policy may be an `Observer` of facts,
`Periodic` (a scaling that decides on a timer) or an `Oracle`, and may waive promises (`Waiver`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum, auto
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from fleet.commands import Dispatch
from fleet.domain import ArtifactId, ModelId, ModelSpec, NodeId, Request, Tier
from fleet.estimates import SLOWEST_HOP, Estimation
from fleet.events import Event
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
        """How many instances there should be, starting ones included.

        Asked when a queue grows and when capacity changes, to start more. Only a `Periodic` one is
        also obeyed when it wants fewer.
        """


@runtime_checkable
class Periodic(Protocol):
    """A scaling that decides on a timer.

    After each `tick`, `wanted` is asked for every model, and surplus instances are stopped: the
    least loaded first, each once its last request has ended. Between ticks `wanted` should only
    rise with the queue, and be at least 1 for a model that somebody waits for.
    """

    @property
    def every_s(self) -> float: ...

    def tick(self, view: View) -> None: ...


@runtime_checkable
class Observer(Protocol):
    """A policy that learns from facts as they come, before the controller puts them in its books.

    Of a request's end the view still has its `flight`; of a command's answer, the command
    (`ordered`). A `Dispatch` is shown as it is given.
    """

    observes: ClassVar[tuple[type[Event] | type[Dispatch], ...]]

    def observe(self, fact: Any, view: View) -> None: ...


@runtime_checkable
class Oracle(Protocol):
    """A bound, not a policy: it is told the future. Reports label it; no live system can run it."""

    def reveal(self, requests: Sequence[Request]) -> None: ...


class Waiver(StrEnum):
    """A promise of liveness that a policy does not make, by its nature; `waives` on its class."""

    LEAVES_CARDS = "leaves_cards"  # a wanted instance may wait beside free cards
    LEAVES_SLOTS = "leaves_slots"  # a request may wait beside a free slot
    BLIND_TO_ADAPTERS = "blind_to_adapters"  # may send a request where its adapter is not
    KEEPS_FOREVER = "keeps_forever"  # an idle instance may never stop


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
    estimation: Estimation = SLOWEST_HOP
    online_estimates: bool = True


def parts(policy: Any) -> Iterator[Any]:
    """Every answer of a policy, those that are made of others included, outermost first."""
    if isinstance(policy, tuple):
        for each in policy:
            yield from parts(each)
    elif is_dataclass(policy) and not isinstance(policy, type):
        if not isinstance(policy, Policy):
            yield policy
        for field in fields(policy):
            if field.init:
                yield from parts(getattr(policy, field.name))
    elif hasattr(policy, "__dict__") or hasattr(type(policy), "__slots__"):
        yield policy


def waived(policy: Policy) -> frozenset[Waiver]:
    """The promises that some answer of the policy does not make."""
    return frozenset(w for part in parts(policy) for w in getattr(part, "waives", ()))


def observers(policy: Policy) -> dict[type[Any], tuple[Callable[[Any, View], None], ...]]:
    """Who wants to see which facts, in the order of the policy's answers."""
    found: dict[type[Any], tuple[Callable[[Any, View], None], ...]] = {}
    for part in parts(policy):
        for kind in part.observes if isinstance(part, Observer) else ():
            found[kind] = (*found.get(kind, ()), part.observe)
    return found


def oracles(policy: Policy) -> tuple[Oracle, ...]:
    """The answers that must be told the future before a run."""
    return tuple(part for part in parts(policy) if isinstance(part, Oracle))
