"""Facts a driver reports to the controller. Past tense; times are seconds since the run began.

`at` is when the driver learned it. An `Answer` carries the id of the command it answers; a late
answer of an old attempt is recognised by that id and ignored.
"""

import msgspec

from fleet.domain import (
    AdapterId,
    AdapterSpec,
    ArtifactId,
    CommandId,
    InstanceId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    Request,
    RequestId,
    Tier,
)


class Event(msgspec.Struct, frozen=True, tag=True, gc=False):
    at: float


class Answer(Event, frozen=True, tag=True, gc=False):
    command: CommandId


# Unasked


class RequestArrived(Event, frozen=True, tag=True, gc=False):
    request: Request


class RequestAbandoned(Event, frozen=True, tag=True, gc=False):
    """The client has gone; nobody reads what would still be generated."""

    request: RequestId


class NodeJoined(Event, frozen=True, tag=True, gc=False):
    """A new node, with what already lies on it. Its id is the next dense one."""

    node: NodeSpec
    resident: tuple[tuple[ArtifactId, Tier], ...] = ()


class NodeLost(Event, frozen=True, tag=True, gc=False):
    node: NodeId


class InstanceLost(Event, frozen=True, tag=True, gc=False):
    """An engine died. Its requests are the controller's to place again."""

    instance: InstanceId
    reason: str


class ArtifactAdded(Event, frozen=True, tag=True, gc=False):
    """A model or adapter now exists in the remote store, and in `places`."""

    artifact: ModelSpec | AdapterSpec
    places: tuple[Place, ...] = ()


class ArtifactRemoved(Event, frozen=True, tag=True, gc=False):
    artifact: ArtifactId


class Progress(Event, frozen=True, tag=True, gc=False):
    """A sample of what an instance is doing; at most one a second an instance."""

    instance: InstanceId
    running: int
    tokens: int


# Answers


class RequestFinished(Answer, frozen=True, tag=True, omit_defaults=True, gc=False):
    """`gaps` is a packed histogram of inter-token gaps (`fleet.gaps`).

    `cached_tokens` of its prompt were found in the engine's prefix cache when it was scheduled.
    """

    request: RequestId
    instance: InstanceId
    scheduled_at: float
    first_token_at: float
    ended_at: float
    tokens: int
    gaps: int
    longest_gap_s: float
    cached_tokens: int = 0


class RequestFailed(Answer, frozen=True, tag=True, gc=False):
    request: RequestId
    reason: str


class Preempted(Answer, frozen=True, tag=True, gc=False):
    request: RequestId
    tokens_kept: int


class Migrated(Answer, frozen=True, tag=True, gc=False):
    request: RequestId
    pause_s: float
    bytes_moved: int
    rounds: int


class InstanceReady(Answer, frozen=True, tag=True, gc=False):
    """A token was produced. `phases` are named seconds that add up to `load_s`; "queue" is what
    the node's loader waited for other loads, where it takes them in turn."""

    instance: InstanceId
    load_s: float
    phases: tuple[tuple[str, float], ...] = ()


class InstanceStopped(Answer, frozen=True, tag=True, gc=False):
    instance: InstanceId


class Slept(Answer, frozen=True, tag=True, gc=False):
    instance: InstanceId


class Awake(Answer, frozen=True, tag=True, gc=False):
    instance: InstanceId
    load_s: float


class AdapterAttached(Answer, frozen=True, tag=True, gc=False):
    instance: InstanceId
    adapter: AdapterId
    load_s: float


class AdapterDetached(Answer, frozen=True, tag=True, gc=False):
    instance: InstanceId
    adapter: AdapterId


class Fetched(Answer, frozen=True, tag=True, gc=False):
    artifact: ArtifactId
    load_s: float


class Dropped(Answer, frozen=True, tag=True, gc=False):
    artifact: ArtifactId
    place: Place


class CommandFailed(Answer, frozen=True, tag=True, gc=False):
    """The command did not happen, and what it had taken is free again."""

    reason: str


class TimerFired(Answer, frozen=True, tag=True, gc=False):
    timer: str


AnyEvent = (
    RequestArrived
    | RequestAbandoned
    | NodeJoined
    | NodeLost
    | InstanceLost
    | ArtifactAdded
    | ArtifactRemoved
    | Progress
    | RequestFinished
    | RequestFailed
    | Preempted
    | Migrated
    | InstanceReady
    | InstanceStopped
    | Slept
    | Awake
    | AdapterAttached
    | AdapterDetached
    | Fetched
    | Dropped
    | CommandFailed
    | TimerFired
)
