"""Runs made by hand, for the tests of the record, the numbers and the pictures.

`Story` writes (event, commands) pairs in order; `queueing_run` tells a whole one: instances that
load, serve one request at a time and idle, so that its numbers can be worked out beside it.
"""

from collections.abc import Sequence

from fleet import commands as c
from fleet import events as e
from fleet import gaps
from fleet.domain import (
    REMOTE,
    AdapterId,
    AdapterSpec,
    ArtifactId,
    CommandId,
    InstanceId,
    LinkSpec,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    Request,
    RequestId,
    Shard,
    TenantId,
    Tier,
    Whole,
)
from traces.collector import record_of
from traces.record import RunRecord

Pair = tuple[e.Event, Sequence[c.Command]]


def node(number: int, gpus: int = 2, price_per_s: float = 0.002, kind: str = "A40") -> NodeSpec:
    links = LinkSpec(1e9, 4e9, 2e10, 5e9)
    return NodeSpec(
        NodeId(number), f"n{number}", kind, gpus, 48 << 30, 256 << 30, 2 << 40, links, price_per_s
    )


def model(number: int, weight_bytes: int = 12_000_000_000) -> ModelSpec:
    return ModelSpec(ModelId(ArtifactId(number)), f"opt-{number}", weight_bytes, Whole(1))


def adapter(number: int, base: int, rank: int = 16) -> AdapterSpec:
    base_model = ModelId(ArtifactId(base))
    return AdapterSpec(AdapterId(ArtifactId(number)), f"lora-{number}", base_model, 10**8, rank)


def request(
    number: int,
    at: float,
    base: int = 0,
    lora: int | None = None,
    tenant: int = 0,
    deadline_at: float | None = None,
) -> Request:
    return Request(
        RequestId(number),
        ModelId(ArtifactId(base)),
        None if lora is None else AdapterId(ArtifactId(lora)),
        at,
        100,
        512,
        TenantId(tenant),
        deadline_at,
    )


def shard(node_number: int = 0, gpu: int = 0) -> Shard:
    return Shard(NodeId(node_number), (gpu,), 16 << 30)


def on(node_number: int, tier: Tier) -> Place:
    return Place(NodeId(node_number), tier)


class Story:
    """Pairs in order. Command ids are the caller's, so that answers can name them."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []

    def tell(self, event: e.Event, *commands: c.Command) -> "Story":
        self.pairs.append((event, commands))
        return self

    def tick(self, at: float, *commands: c.Command) -> "Story":
        return self.tell(e.TimerFired(at, CommandId(0), "tick"), *commands)

    def arrive(self, arrived: Request, *commands: c.Command) -> "Story":
        return self.tell(e.RequestArrived(arrived.arrived_at, arrived), *commands)

    def record(self) -> RunRecord:
        return record_of(
            self.pairs,
            nodes=[node(0), node(1)],
            artifacts=[model(0), model(1), adapter(50, 0), adapter(51, 0, rank=64)],
        )


def start(
    command: int,
    instance: int,
    source: Place = REMOTE,
    shards: tuple[Shard, ...] = (),
    base: int = 0,
) -> c.StartInstance:
    shards = shards or (shard(),)
    model_id = ModelId(ArtifactId(base))
    sources = (source,) * len(shards)
    return c.StartInstance(CommandId(command), InstanceId(instance), model_id, shards, sources)


def ready(
    at: float, command: int, instance: int, load_s: float, *phases: tuple[str, float]
) -> e.InstanceReady:
    return e.InstanceReady(at, CommandId(command), InstanceId(instance), load_s, phases)


def send(command: int, number: int, instance: int) -> c.Dispatch:
    return c.Dispatch(CommandId(command), RequestId(number), InstanceId(instance))


def finish(
    number: int, instance: int, scheduled_at: float, first_at: float, ended_at: float, tokens: int
) -> e.RequestFinished:
    """Evenly spaced tokens."""
    gap_s = (ended_at - first_at) / max(tokens - 1, 1)
    packed = gaps.add(0, gap_s, tokens - 1) if tokens > 1 else 0
    return e.RequestFinished(
        ended_at,
        CommandId(0),
        RequestId(number),
        InstanceId(instance),
        scheduled_at,
        first_at,
        ended_at,
        tokens,
        packed,
        gap_s if tokens > 1 else 0.0,
    )


def two_request_story() -> Story:
    """A cold request and a warm one on instance 0 (remote load from 1 s to 5 s, ready at 5 s)."""
    story = Story()
    story.arrive(request(0, 1.0), start(10, 0))
    story.tell(ready(5.0, 10, 0, 4.0, ("weights", 3.0), ("graphs", 1.0)), send(11, 0, 0))
    story.tell(finish(0, 0, 5.0, 5.5, 6.5, 11))
    story.arrive(request(1, 7.0), send(12, 1, 0))
    story.tell(finish(1, 0, 7.25, 7.5, 8.5, 21))
    return story
