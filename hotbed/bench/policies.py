"""How long each policy takes to decide, in a fleet of 1,000 GPUs at work.

One policy at a time answers its question in ServerlessLLM's place. Requests come with sessions,
shared prefixes, adapters, tenants and deadlines, so that no rule has nothing to look at.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from fleet import events as e
from fleet.commands import Command, StartInstance
from fleet.controller import Controller, Setup
from fleet.domain import AdapterId, AdapterSpec, ArtifactId, ModelId, TenantId
from fleet.policy import oracles
from hotbed.bench.fleets import arrivals, crowd_setup, crowd_world
from hotbed.bench.measures import timed
from hotbed.bench.workloads import Requested, crowd
from policies import catalog
from policies.library import CATALOG, RECIPES
from sim.calendar import Arrival
from sim.cluster import Cluster
from sim.profiles import load_profile

BASE: Final = "serverlessllm"
ADAPTERS: Final = 8  # a model
ADAPTER_BYTES: Final = 100_000_000
TENANTS: Final = 50
SESSION_TURNS: Final = 4
SHARED_BLOCKS: Final = 4
BLOCK_TOKENS: Final = 16
TTFT_S: Final = 5.0
LIMIT_US: Final = 1000.0


class Watched(Controller):
    """Notes how long it took: over arrivals that start an instance, other facts, and timers."""

    took_ns: dict[str, list[int]]

    def handle(self, event: e.Event) -> list[Command]:
        started_ns = time.thread_time_ns()
        commands = super().handle(event)
        self.took_ns[_kind(event, commands)].append(time.thread_time_ns() - started_ns)
        return commands


def _kind(event: e.Event, commands: list[Command]) -> str:
    if isinstance(event, e.TimerFired) and event.timer.startswith(("upkeep", "scaling")):
        return "timer"
    if isinstance(event, e.RequestArrived):
        placed = any(type(command) is StartInstance for command in commands)
        return "cold" if placed else "warm"
    return "other"


def specs() -> list[dict[str, Any]]:
    """Every catalogued policy in the base's place, then every recipe: as a scenario spells them."""
    single = [
        {"recipe": BASE, question: [{"name": name}] if question == "upkeep" else {"name": name}}
        for question, named in CATALOG.items()
        for name in named
    ]
    return [*single, *({"recipe": name} for name in RECIPES)]


def label(spec: Mapping[str, Any]) -> str:
    """ "routing.chwbl", or the recipe's name."""
    for question in CATALOG:
        if question in spec:
            answer = spec[question][0] if question == "upkeep" else spec[question]
            return f"{question}.{answer['name']}"
    return f"recipe.{spec['recipe']}"


def policy(
    spec: Mapping[str, Any], requests: int, span_s: float, gpus: int, models: int, seed: int
) -> dict[str, Any]:
    """CPU microseconds of the controller's answers over a crowd's run under the policy."""
    requested = crowd(requests, span_s, models, seed)
    profile = load_profile("h100")
    setup = with_adapters(crowd_setup(profile, gpus, models, seed))
    built = catalog.build(spec)
    for oracle in oracles(built):
        oracle.reveal([arrival.request for arrival in rich(requested, setup)])
    controller = Watched(setup, built)
    controller.took_ns = {kind: [] for kind in ("cold", "warm", "timer", "other")}
    cluster = Cluster(controller, crowd_world(profile, seed))
    with timed():
        cluster.run(rich(requested, setup))
    return {
        "policy": label(spec),
        "gpus": gpus,
        "requests": len(requested),
        **{kind: spread(took) for kind, took in controller.took_ns.items()},
    }


def with_adapters(setup: Setup) -> Setup:
    """Some adapters to every model, of ranks 8 to 64."""
    models = tuple(msgspec.structs.replace(m, max_adapters=ADAPTERS // 2) for m in setup.models)
    adapters = tuple(
        AdapterSpec(
            AdapterId(ArtifactId(len(models) + number)),
            f"adapter {number}",
            models[number // ADAPTERS].id,
            ADAPTER_BYTES,
            8 << number % 4,
        )
        for number in range(ADAPTERS * len(models))
    )
    return msgspec.structs.replace(setup, models=models, adapters=adapters)


def rich(requested: Requested, setup: Setup) -> Iterator[Arrival]:
    """The crowd's requests with all that a client may say; nothing of it is drawn."""
    first = len(setup.models)
    for arrival in arrivals(requested):
        request = arrival.request
        number, model = int(request.id), int(request.model)
        adapter = first + model * ADAPTERS + number % ADAPTERS if number % 2 else None
        session = number // SESSION_TURNS
        blocks = min(SHARED_BLOCKS, (request.prompt_tokens - 1) // BLOCK_TOKENS)
        said = msgspec.structs.replace(
            request,
            model=ModelId(ArtifactId(model)),
            adapter=None if adapter is None else AdapterId(ArtifactId(adapter)),
            tenant=TenantId(session % TENANTS),
            deadline_at=request.arrived_at + TTFT_S,
            session=session,
            prefix=tuple(session % 100 * SHARED_BLOCKS + k for k in range(blocks)),
            block_tokens=BLOCK_TOKENS,
            priority=-(number % 2),
        )
        yield Arrival(said, arrival.output_tokens)


def spread(took_ns: list[int]) -> dict[str, Any]:
    """None where nothing of the kind happened."""
    if not took_ns:
        return {"n": 0, "p50_us": None, "p99_us": None}
    p50, p99 = np.percentile(took_ns, (50, 99)) / 1e3
    return {"n": len(took_ns), "p50_us": round(float(p50), 1), "p99_us": round(float(p99), 1)}


def slow(row: Mapping[str, Any]) -> list[str]:
    """Which answers to arrivals take over a millisecond at the 99th percentile."""
    paths = ("cold", "warm")
    return [kind for kind in paths if (row[kind]["p99_us"] or 0.0) > LIMIT_US]
