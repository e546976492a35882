"""The two fleets of the benchmark, each as a cluster that is ready to run.

It knows specs and policies; it measures nothing.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from fleet.controller import Controller, Setup
from fleet.domain import (
    ArtifactId,
    ModelId,
    ModelSpec,
    NodeId,
    Place,
    Request,
    RequestId,
    Tier,
    Whole,
)
from hotbed.bench.workloads import Requested
from hotbed.nodes import Machines, beliefs_of
from policies import catalog
from sim.calendar import Arrival
from sim.profiles import Figure, Profile, load_profile
from sim.world import World

W_REPLICAS: Final = 4
W_BATCH: Final = 128
# What the peers get as well: 48,000 tokens of KV cache a replica and prefill chunks of 2,048.
W_KV_TOKENS: Final = 48_000
W_CHUNK_TOKENS: Final = 2048
MAX_TOKENS: Final = 4096
ROWS_AT_ONCE: Final = 4096

GPUS_A_NODE: Final = 8
SSD_COPIES: Final = 4
CROWD_SLOTS: Final = 32
CROWD_RECIPE: Final = "serverlessllm"
PRESERVED: Final = ("pool",)  # starts come from processes that have done their imports
# Sizes as of models of 7, 13 and 34 billion parameters in FP16: bytes, GPUs, KV bytes a token.
CROWD_SIZES: Final = (
    (14_000_000_000, 1, 131_072),
    (14_000_000_000, 1, 131_072),
    (14_000_000_000, 1, 131_072),
    (26_000_000_000, 1, 204_800),
    (68_000_000_000, 2, 196_608),
)


def a100_profile() -> Profile:
    """The H100 profile with the two figures of an A100 80 GB SXM that set an engine's pace."""
    profile = load_profile("h100")
    source = "NVIDIA A100 data sheet, 80 GB SXM"
    engine = msgspec.structs.replace(
        profile.engine,
        hbm_bytes_per_s=Figure(value=2.039e12, source=source),
        flops=Figure(value=312e12, source=source),
        max_batched_tokens=Figure(value=W_CHUNK_TOKENS, source="the chunk given to every peer"),
    )
    return msgspec.structs.replace(profile, kind="A100", engine=engine)


def w_controller(profile: Profile) -> Controller:
    """Four replicas of a 7B model (Llama-2-7B's sizes), one a GPU, that never move."""
    node = msgspec.structs.replace(profile.node_spec(NodeId(0), "node 0"), gpus=W_REPLICAS)
    model = ModelSpec(
        ModelId(ArtifactId(0)),
        "llama-2-7b",
        13_500_000_000,
        Whole(1),
        max_sequences=W_BATCH,
        kv_bytes_per_token=524_288,
    )
    policy = {"recipe": "static", "scaling": {"name": "fixed", "replicas": W_REPLICAS}}
    return Controller(Setup((node,), (model,)), catalog.build(policy))


def w_world(profile: Profile, seed: int) -> World:
    blocks = W_KV_TOKENS // int(profile.engine.block_tokens.value)
    return World({profile.kind: profile}, seed=seed, kv_blocks=blocks)


def crowd_setup(profile: Profile, gpus: int, models: int, seed: int) -> Setup:
    """Nodes of 8 cards and models of three sizes, each on the SSDs of four nodes."""
    nodes = tuple(
        profile.node_spec(NodeId(i), f"node {i}") for i in range(max(1, gpus // GPUS_A_NODE))
    )
    specs = tuple(_crowd_model(i) for i in range(models))
    resident = {
        (spec.id, Place(NodeId((7 * spec.id + k) % len(nodes)), Tier.SSD))
        for spec in specs
        for k in range(SSD_COPIES)
    }
    ordered = tuple(sorted(resident, key=lambda copy: (copy[0], copy[1].node or 0)))
    beliefs = beliefs_of(Machines(nodes, {profile.kind: profile}), specs, PRESERVED)
    return Setup(nodes, specs, resident=ordered, beliefs=beliefs, seed=seed)


def crowd_world(profile: Profile, seed: int) -> World:
    return World({profile.kind: profile}, seed=seed, preserved=PRESERVED)


def _crowd_model(number: int) -> ModelSpec:
    weight_bytes, gpus, kv_bytes_per_token = CROWD_SIZES[number % len(CROWD_SIZES)]
    return ModelSpec(
        ModelId(ArtifactId(number)),
        f"model {number}",
        weight_bytes,
        Whole(gpus),
        max_sequences=CROWD_SLOTS,
        kv_bytes_per_token=kv_bytes_per_token,
    )


def arrivals(requests: Requested) -> Iterator[Arrival]:
    """The workload as the simulator takes it, made while it runs, so that none is kept."""
    for start in range(0, len(requests), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        chunk = (
            requests.arrived_at[rows].tolist(),
            requests.model[rows].tolist(),
            requests.prompt_tokens[rows].tolist(),
            requests.output_tokens[rows].tolist(),
        )
        for number, (at, model, prompt, output) in enumerate(zip(*chunk, strict=True), start):
            request = Request(RequestId(number), model, None, at, prompt, MAX_TOKENS)
            yield Arrival(request, output)
