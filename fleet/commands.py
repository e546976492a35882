"""What the controller asks a driver to do. Imperative mood.

A command's `id` ties its answer to it (`answers.py`). Policies write commands into plans with
no id and, for an instance the same plan starts, a placeholder (`plans.planned`); the controller
numbers both as it lets the command out.
"""

from enum import StrEnum

import msgspec

from fleet.domain import (
    AdapterId,
    ArtifactId,
    CommandId,
    InstanceId,
    ModelId,
    Place,
    RequestId,
    Shard,
    Tier,
)


class Keep(StrEnum):
    """What of a preempted request survives."""

    NOTHING = "nothing"
    TOKENS = "tokens"
    KV = "kv"


class By(StrEnum):
    """How a running request moves: its tokens (KV recomputed there) or its KV blocks."""

    TOKENS = "tokens"
    KV = "kv"


class Command(msgspec.Struct, frozen=True, tag=True, gc=False):
    id: CommandId


class Dispatch(Command, frozen=True, tag=True, gc=False):
    """Run a request on a ready instance. The driver resumes from the tokens already streamed."""

    request: RequestId
    instance: InstanceId


class Reject(Command, frozen=True, tag=True, gc=False):
    """Final. `retry_after_s` is the client's hint; None means do not retry."""

    request: RequestId
    reason: str
    retry_after_s: float | None = None


class Cancel(Command, frozen=True, tag=True, gc=False):
    """Stop a dispatched request and free what it holds; `RequestFailed` repeats the reason."""

    request: RequestId
    reason: str


class Preempt(Command, frozen=True, tag=True, gc=False):
    """Take a running request off its instance; it will be dispatched again."""

    request: RequestId
    keep: Keep


class Migrate(Command, frozen=True, tag=True, gc=False):
    """Move a running request, live. The target's slot is reserved; failure leaves it at source."""

    request: RequestId
    source: InstanceId
    target: InstanceId
    by: By


class StartInstance(Command, frozen=True, tag=True, gc=False):
    """Load a model onto shards, one source a shard; copies stay in the `keep` tiers on the way."""

    instance: InstanceId
    model: ModelId
    shards: tuple[Shard, ...]
    sources: tuple[Place, ...]
    keep: tuple[Tier, ...] = ()


class StopInstance(Command, frozen=True, tag=True, gc=False):
    """Legal while loading: then `InstanceReady` never comes."""

    instance: InstanceId


class Sleep(Command, frozen=True, tag=True, gc=False):
    """Give back GPU memory, keep the process. Level 1 keeps the weights in DRAM, level 2 not."""

    instance: InstanceId
    level: int


class Wake(Command, frozen=True, tag=True, gc=False):
    """Bring a sleeping instance back onto the cards it had."""

    instance: InstanceId
    source: Place


class AttachAdapter(Command, frozen=True, tag=True, gc=False):
    """Load an adapter into a slot of a ready instance; copies stay in the `keep` tiers."""

    instance: InstanceId
    adapter: AdapterId
    source: Place
    keep: tuple[Tier, ...] = ()


class DetachAdapter(Command, frozen=True, tag=True, gc=False):
    instance: InstanceId
    adapter: AdapterId


class Fetch(Command, frozen=True, tag=True, gc=False):
    """Copy an artifact between places without serving it: prefetch."""

    artifact: ArtifactId
    source: Place
    target: Place


class Drop(Command, frozen=True, tag=True, gc=False):
    """Forget a cached copy."""

    artifact: ArtifactId
    place: Place


class SetTimer(Command, frozen=True, tag=True, gc=False):
    """The controller's only wish for time."""

    timer: str
    at: float


AnyCommand = (
    Dispatch
    | Reject
    | Cancel
    | Preempt
    | Migrate
    | StartInstance
    | StopInstance
    | Sleep
    | Wake
    | AttachAdapter
    | DetachAdapter
    | Fetch
    | Drop
    | SetTimer
)
