"""The paper's smaller test bed with small workloads, run by the real simulator."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from fleet import audit
from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from fleet.domain import (
    AdapterId,
    AdapterSpec,
    ArtifactId,
    ModelId,
    ModelSpec,
    NodeId,
    Part,
    Place,
    Request,
    RequestId,
    Share,
    Tier,
    Whole,
)
from fleet.estimates import Belief
from fleet.limits import Limits
from fleet.policy import Policy
from sim.calendar import Arrival
from sim.cluster import Cluster
from sim.faults import FaultRates
from sim.profiles import load_profile
from sim.world import World

PROFILE = load_profile("osdi24-a40")
GB = 10**9


def spec(
    number: int,
    weight_bytes: int,
    need: Share,
    *,
    slots: int = 1,
    stages: int = 1,
    adapters: int = 0,
) -> ModelSpec:
    return ModelSpec(
        ModelId(ArtifactId(number)),
        f"m{number}",
        weight_bytes,
        need,
        stages=stages,
        max_sequences=slots,
        kv_bytes_per_token=500_000,
        max_adapters=adapters,
    )


def every_shape() -> tuple[ModelSpec, ...]:
    """Whole cards, two cards, shares of a card, a pipeline, and one with adapters."""
    return (
        *(spec(i, 13 * GB, Whole(1)) for i in range(10)),
        *(spec(i, 60 * GB, Whole(2)) for i in range(10, 13)),
        *(spec(i, 5 * GB, Part(16 * GB), slots=4) for i in range(13, 16)),
        spec(16, 60 * GB, Whole(1), stages=2),
        spec(17, 13 * GB, Whole(1), slots=4, adapters=2),
    )


ADAPTERS = tuple(
    AdapterSpec(AdapterId(ArtifactId(n)), f"a{n}", ModelId(ArtifactId(17)), 10**8, 16)
    for n in range(100, 105)
)


@dataclass
class Run:
    """What became of each request, and how often each command was given."""

    policy: Policy
    models: tuple[ModelSpec, ...]
    adapters: tuple[AdapterSpec, ...] = ()
    faults: FaultRates = field(default_factory=FaultRates)
    audited: bool = False
    seed: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    ends: Counter[int] = field(default_factory=Counter)
    first_token_s: dict[int, float] = field(default_factory=dict)
    started_s: dict[int, float] = field(default_factory=dict)
    _arrived_at: dict[int, float] = field(default_factory=dict)

    def serve(self, arrivals: list[Arrival]) -> "Run":
        nodes = tuple(PROFILE.node_spec(NodeId(i), f"n{i}") for i in range(4))
        resident = tuple((m.id, Place(NodeId(i % 4), Tier.SSD)) for i, m in enumerate(self.models))
        beliefs = {PROFILE.kind: Belief(startup_s=0.5)}
        limits = Limits(max_age_s=300.0)
        self.controller = Controller(
            Setup(nodes, self.models, self.adapters, resident, beliefs, limits, self.seed),
            self.policy,
        )
        world = World({PROFILE.kind: PROFILE}, faults=self.faults, seed=self.seed)
        cluster = Cluster(self.controller, world, self._observe)
        self._arrived_at = {a.request.id: a.request.arrived_at for a in arrivals}
        cluster.run(arrivals)
        audit.check(self.controller.state)
        return self

    def _observe(self, event: e.Event, commands: list[c.Command]) -> None:
        if isinstance(event, e.RequestFinished | e.RequestFailed):
            self.ends[event.request] += 1
        if isinstance(event, e.RequestFinished):
            first_s = event.first_token_at - self._arrived_at[event.request]
            self.first_token_s[event.request] = first_s
        for command in commands:
            self.commands[type(command).__name__] += 1
            if isinstance(command, c.Reject):
                self.ends[command.request] += 1
            elif isinstance(command, c.Dispatch):
                waited_s = event.at - self._arrived_at[command.request]
                self.started_s.setdefault(command.request, waited_s)
        if self.audited:
            audit.check(self.controller.state)


def bursty(
    models: tuple[ModelSpec, ...],
    requests: int,
    *,
    per_s: float = 0.5,
    cv: float = 2.0,
    seed: int = 0,
    adapters: tuple[AdapterSpec, ...] = (),
) -> list[Arrival]:
    """Gamma gaps between arrivals, a heavy tail of models, outputs of 20 to 400 tokens."""
    rng = random.Random(seed)
    shape = 1.0 / cv**2
    gaps = np.random.default_rng(seed).gamma(shape, 1.0 / (per_s * shape), requests)

    def each() -> Iterator[Arrival]:
        for number, at in enumerate(np.cumsum(gaps).tolist()):
            model = models[min(len(models), int(rng.paretovariate(0.7))) - 1]
            mine = [a.id for a in adapters if a.model == model.id]
            lora = rng.choice(mine) if mine else None
            prompt = rng.randint(20, 200)
            request = Request(RequestId(number), model.id, lora, at, prompt, 2000)
            yield Arrival(request, rng.randint(20, 400))

    return list(each())
