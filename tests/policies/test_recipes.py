"""Whole systems in the real simulator: nothing is lost, and they rank as they were published."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fleet.domain import Whole
from fleet.policy import Policy
from policies import recipes
from policies.catalog import build
from policies.library import CATALOG, RECIPES
from policies.room.stopping import CheapestRoom, EvictIdle, PreemptVictims
from policies.scaling.queue import FixedReplicas
from sim.faults import FaultRates
from tests.policies.clusters import ADAPTERS, GB, Run, bursty, every_shape, spec
from tests.policies.duels import play
from tests.policies.ordering.test_fair import LIGHT_AND_HEAVY
from tests.policies.routing.test_hashing import conversations
from tests.policies.warm import tenant_p99_s, warm

EVERY = [(question, name) for question, named in CATALOG.items() for name in named]
FAULTS = FaultRates(
    node_loss_per_node_hour=10.0,
    repair_s=30.0,
    engine_crash_per_instance_hour=30.0,
    load_failure_probability=0.05,
)


def smoke(policy: Policy, faults: FaultRates | None = None, requests: int = 150) -> Run:
    """A crowded minute with every shape of model, the books audited after each event."""
    models = tuple(reversed(every_shape()))  # the odd shapes are asked for most
    run = Run(policy, models, ADAPTERS, faults or FaultRates(), audited=True)
    arrivals = bursty(models, requests, per_s=1.0, adapters=ADAPTERS)
    run.serve(arrivals)
    assert run.ends == {a.request.id: 1 for a in arrivals}  # each request ends, once
    return run


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_ends_every_request_once(recipe: str) -> None:
    smoke(build(recipe))


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_ends_every_request_once_through_faults(recipe: str) -> None:
    smoke(build(recipe), FAULTS, requests=120)


@pytest.mark.parametrize(("question", "name"), EVERY)
def test_every_policy_serves_in_place_of_the_default(question: str, name: str) -> None:
    smoke(build({"recipe": "keep_alive", "keep_alive_s": 5.0, question: name}), requests=100)


def test_instances_that_sleep_are_woken_in_a_whole_run() -> None:
    keep = {"name": "fixed", "keep_alive_s": 1.0, "sleep_level": 1, "asleep_s": 600.0}
    policy = build({"recipe": "serverlessllm", "keep_alive": keep})
    run = Run(policy, MODELS[:4], audited=True).serve(bursty(MODELS[:4], 40, per_s=0.2))
    assert run.commands["Sleep"] > 0
    assert run.commands["Wake"] > 0


# The paper's comparison: 32 models of one size on 16 cards, so that most starts are cold.

MODELS = tuple(spec(i, 13 * GB, Whole(1)) for i in range(32))
SEEDS = (0, 1)


def served(make: Callable[[], Policy]) -> list[Run]:
    return [Run(make(), MODELS, seed=seed).serve(bursty(MODELS, 250, seed=seed)) for seed in SEEDS]


def test_as_released_starts_later_than_as_published() -> None:
    """One step a second, loads that nobody corrects, and no room but by waiting."""
    released, published = (
        mean_start_s(served(make))
        for make in (recipes.serverlessllm_as_released, recipes.serverlessllm)
    )
    assert released > 1.3 * published


def mean_start_s(runs: list[Run]) -> float:
    """Seconds from arrival to first dispatch: the paper's start-up latency."""
    return float(np.mean([list(run.started_s.values()) for run in runs]))


def worst_s(runs: list[Run]) -> float:
    """The mean over seeds of the 99th percentile of the time to the first token."""
    return float(np.mean([np.percentile(list(r.first_token_s.values()), 99) for r in runs]))


def test_start_up_latency_ranks_as_published() -> None:
    """OSDI'24, section 7.4: start-up-aware < random < Ray Serve with a cache < Ray Serve."""
    systems = (
        recipes.serverlessllm,
        recipes.serverless,
        recipes.ray_serve_cached,
        recipes.ray_serve,
    )
    means = [mean_start_s(served(make)) for make in systems]
    assert means == sorted(means)
    assert all(later > 1.3 * sooner for sooner, later in pairwise(means))


def test_migrating_beats_preempting_which_beats_choosing_at_random() -> None:
    """Section 7.3: P99 1.27 and 1.95 times that of ServerlessLLM for Shepherd* and Serverless."""
    ours, shepherd, chance = (
        worst_s(served(make))
        for make in (recipes.serverlessllm, recipes.shepherd_star, recipes.serverless)
    )
    assert ours < shepherd < chance


def test_preempting_whenever_it_is_sooner_thrashes() -> None:
    """Why `PreemptVictims` weighs batches and Shepherd* takes only victims with somewhere to go."""

    def eager() -> Policy:
        room = CheapestRoom((EvictIdle(), PreemptVictims(ratio=0.0)))
        return replace(recipes.serverlessllm(), room=room)

    thrash, star = served(eager), served(recipes.shepherd_star)
    assert sum(r.commands["Preempt"] for r in thrash) > 2 * sum(r.commands["Preempt"] for r in star)
    assert mean_start_s(thrash) > 1.5 * mean_start_s(star)


def test_retention_does_not_matter_where_every_model_fits_in_every_cache() -> None:
    """With room for all, LRU and GDSF never drop anything, and runs are the same."""
    policies = [
        replace(recipes.keep_alive(), retention=build(name).retention)
        for name in ("gdsf", "static")
    ]
    runs = [Run(p, MODELS[:8]).serve(bursty(MODELS[:8], 60)) for p in policies]
    assert runs[0].started_s == runs[1].started_s
    assert runs[0].commands["Drop"] == 0


def test_gateways_that_look_at_prefixes_find_more_of_them_cached() -> None:
    """On four replicas each: KubeAI hashes beginnings, AIBrix remembers what it sent where."""
    setting = warm(conversations(12, 8), 4)
    hits = [
        play(setting, replace(make(), scaling=FixedReplicas(4))).summary.caches.prefix_hit_ratio
        for make in (recipes.ray_serve_cached, recipes.kubeai, recipes.aibrix)
    ]
    assert all(ratio is not None for ratio in hits)
    plain, *aware = (ratio or 0.0 for ratio in hits)
    assert all(ratio > 1.5 * plain for ratio in aware)


def test_fair_shares_spare_the_light_tenant_the_heavy_ones_queue() -> None:
    light_s = tenant_p99_s(0)
    fair, fifo = (
        play(LIGHT_AND_HEAVY, make()) for make in (recipes.fair_share, recipes.serverlessllm)
    )
    assert light_s(fair) < light_s(fifo) / 2
