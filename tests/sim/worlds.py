"""Small simulated fleets in units that a person can add up, and runs of them.

Nothing has a spread: a link carries its nominal bandwidth, a phase takes its mean.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from fleet.domain import (
    AdapterId,
    AdapterSpec,
    ArtifactId,
    LinkSpec,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    Request,
    RequestId,
)
from fleet.estimates import Belief
from fleet.limits import Limits
from policies.catalog import build
from sim.calendar import Arrival
from sim.cluster import Cluster
from sim.faults import FaultRates
from sim.profiles import (
    EngineFigures,
    Figure,
    Links,
    Loads,
    Machine,
    Phase,
    Profile,
    Shape,
    Spread,
    Turns,
)
from sim.world import World
from tests import specs

KIND = "test"
SHAPE = "tiny"
CARD_BYTES = 80
LINKS = LinkSpec(
    remote_bytes_per_s=10.0, ssd_bytes_per_s=20.0, pcie_bytes_per_s=40.0, peer_bytes_per_s=16.0
)
#: What `profile` says of an engine on one card, two and four.
STEP_S, PREFILL_S = 0.25, 0.125
PHASE_S, STOP_S, ATTACH_S, NAP_S, WAKE_S = 0.5, 0.25, 0.125, 0.0625, 0.03125

Said = list[tuple[e.Event, tuple[c.Command, ...]]]


def figure(value: float) -> Figure:
    return Figure(source="made up", value=value)


def spread(mean_s: float) -> Spread:
    return Spread(source="made up", mean_s=mean_s)


def row(
    gpus: int, step_s: float, per_sequence_s: float = 0.0, per_prefill_token_s: float = 0.0
) -> Shape:
    return Shape(
        source="made up",
        shape=SHAPE,
        engine="made up",
        gpus=gpus,
        step_s=step_s,
        per_sequence_s=per_sequence_s,
        per_context_token_s=0.0,
        per_prefill_token_s=per_prefill_token_s,
    )


def profile(
    kind: str = KIND,
    *,
    step_s: float = STEP_S,
    per_sequence_s: float = 0.0,
    per_prefill_token_s: float = PREFILL_S,
    phase_s: float = PHASE_S,
    chunk_bytes: float = 1e-9,
    in_turn: bool = False,
    links: LinkSpec = LINKS,
) -> Profile:
    """Without KV sizes in the models every engine has all the KV blocks it can ask for."""
    engine = dict.fromkeys(EngineFigures.__struct_fields__, figure(1e-9))
    engine |= {"block_tokens": figure(16), "memory_share": figure(0.9), "reserve_bytes": figure(1)}
    del engine["max_batched_tokens"], engine["prefix_cache_share"]
    return Profile(
        kind=kind,
        what="a card of 80 bytes",
        measured=None,
        machine=Machine(*[figure(1)] * 5),
        links=Links(*[figure(getattr(links, name)) for name in Links.__struct_fields__]),
        loads=Loads(figure(chunk_bytes), Turns(source="made up", value=in_turn)),
        engine=EngineFigures(**engine),  # type: ignore[arg-type]
        stop=spread(STOP_S),
        attach=spread(ATTACH_S),
        phases=(Phase(source="made up", name="process", mean_s=phase_s),),
        sleep=spread(NAP_S),
        wake=spread(WAKE_S),
        shapes=tuple(row(n, step_s, per_sequence_s, per_prefill_token_s) for n in (1, 2, 4, 8)),
    )


def node(
    number: int,
    gpus: int = 2,
    *,
    kind: str = KIND,
    dram_bytes: int = 100,
    ssd_bytes: int = 200,
    links: LinkSpec = LINKS,
) -> NodeSpec:
    return NodeSpec(
        NodeId(number), f"n{number}", kind, gpus, CARD_BYTES, dram_bytes, ssd_bytes, links
    )


model = partial(specs.model, weight_bytes=40, shape=SHAPE)


adapter = partial(specs.adapter, weight_bytes=10)


def arrival(
    number: int,
    at: float,
    output_tokens: int = 4,
    *,
    model: int = 0,
    adapter: int | None = None,
    prompt_tokens: int = 8,
) -> Arrival:
    request = Request(
        RequestId(number),
        ModelId(ArtifactId(model)),
        None if adapter is None else AdapterId(ArtifactId(adapter)),
        at,
        prompt_tokens,
        1 << 40,
    )
    return Arrival(request, output_tokens)


def follow(arrived: Arrival, after: int, think_s: float) -> Arrival:
    """The same, sent so long after the end of another request."""
    return Arrival(arrived.request, arrived.output_tokens, RequestId(after), think_s)


def setup(
    nodes: Sequence[NodeSpec],
    models: Sequence[ModelSpec],
    adapters: Sequence[AdapterSpec] = (),
    resident: Sequence[tuple[int, Place]] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Setup:
    return Setup(
        tuple(nodes),
        tuple(models),
        tuple(adapters),
        tuple((ArtifactId(artifact), place) for artifact, place in resident),
        {spec.kind: Belief() for spec in nodes},
        limits,
    )


def world(
    faults: FaultRates = FaultRates(),  # noqa: B008 - frozen
    kv_blocks: int | None = None,
    seed: int = 0,
    **changes: Any,
) -> World:
    return World({KIND: profile(**changes)}, faults, seed, kv_blocks=kv_blocks)


class Run:
    """One run, and all that was said in it."""

    def __init__(
        self,
        start: Setup,
        policy: str | dict[str, Any],
        truth: World,
        observe: Callable[["Run", e.Event, list[c.Command]], None] | None = None,
    ) -> None:
        self.said: Said = []
        self.controller = Controller(start, build(policy))
        self._observe = observe
        self.cluster = Cluster(self.controller, truth, self._note)

    def _note(self, event: e.Event, commands: list[c.Command]) -> None:
        self.said.append((event, tuple(commands)))
        if self._observe is not None:
            self._observe(self, event, commands)

    def play(self, arrivals: Iterable[Arrival], until: float | None = None) -> "Run":
        self.cluster.run(arrivals, until)
        return self

    def events(self, kind: type[e.Event]) -> list[Any]:
        return [event for event, _ in self.said if type(event) is kind]

    def commands(self, kind: type[c.Command]) -> list[Any]:
        return [
            command for _, commands in self.said for command in commands if type(command) is kind
        ]

    def given_at(self, kind: type[c.Command]) -> list[float]:
        """When each command of a kind was given."""
        return [
            event.at
            for event, commands in self.said
            for command in commands
            if type(command) is kind
        ]


def finished(run: Run) -> dict[int, e.RequestFinished]:
    return {event.request: event for event in run.events(e.RequestFinished)}


def but(request: Request, **changes: Any) -> Request:
    return msgspec.structs.replace(request, **changes)
