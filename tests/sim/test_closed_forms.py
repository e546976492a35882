"""Queues whose mean is known, through controller, driver and engine.

Output lengths are drawn with a mean of thousands of tokens, so that a service time that is a whole
number of iterations is as good as continuous (the engine takes a run of iterations as one step).
The means of several seeds are compared with the formula: the seeds are fixed, the spread between
them gives the standard error, which must be small enough for the test to mean something.
"""

import math
import random
import statistics
from collections.abc import Callable

import pytest

from fleet import events as e
from sim.calendar import Arrival
from sim.world import World
from tests.sim.worlds import KIND, Run, arrival, model, node, profile, setup

MEAN_TOKENS = 20_000
STEP_S = 1.0 / MEAN_TOKENS  # so that a mean service takes one second
SEEDS = range(12)
WARM_UP = 0.1

Draw = Callable[[random.Random], float]


def exponential(rng: random.Random) -> float:
    return rng.expovariate(1.0)


def constant(rng: random.Random) -> float:
    return 1.0


def two_sizes(rng: random.Random) -> float:
    """Nine short ones to one long one: a squared coefficient of variation of 4."""
    short = 1.0 / 3.0
    return 7.0 if rng.random() < 0.1 else short


def arrivals(seed: int, load_per_s: float, count: int, draw: Draw) -> list[Arrival]:
    """Poisson arrivals with services of one second in the mean."""
    rng = random.Random(f"closed forms/{seed}")
    at, made = 1.0, []
    for number in range(count):
        at += rng.expovariate(load_per_s)
        tokens = max(1, round(draw(rng) * MEAN_TOKENS))
        made.append(arrival(number, at, tokens, prompt_tokens=1))
    return made


def sojourns_s(
    servers: int,
    slots: int,
    load: list[Arrival],
    step_s: float = STEP_S,
    per_sequence_s: float = 0.0,
) -> float:
    """Mean seconds from arrival to end on so many instances of one model, warm-up left out."""
    start = setup([node(0, servers)], [model(weight_bytes=1, slots=slots)])
    policy = {"recipe": "static", "scaling": {"name": "fixed", "replicas": servers}}
    pace = profile(
        step_s=step_s, per_sequence_s=per_sequence_s, per_prefill_token_s=0.0, phase_s=0.0
    )
    truth = World({KIND: pace})
    run = Run(start, policy, truth).play(load)
    arrived_at = {a.request.id: a.request.arrived_at for a in load}
    ended = run.events(e.RequestFinished)
    assert len(ended) == len(load)
    first = int(len(load) * WARM_UP)
    return statistics.fmean(f.ended_at - arrived_at[f.request] for f in ended if f.request >= first)


def assert_mean(means: list[float], expected: float) -> None:
    """Within four standard errors, themselves under 5 % of the mean."""
    mean = statistics.fmean(means)
    error = statistics.stdev(means) / math.sqrt(len(means))
    assert error < 0.05 * expected
    assert abs(mean - expected) < 4 * error, f"{mean:.4f} +- {error:.4f}, expected {expected:.4f}"


def erlang_c(servers: int, offered: float) -> float:
    """The chance to wait in M/M/c (Erlang, 1917)."""
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(terms) + last)


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_one_instance_with_one_slot_is_an_mm1_queue(load: float) -> None:
    """Mean sojourn 1 / (1 - rho)."""
    means = [sojourns_s(1, 1, arrivals(seed, load, 3000, exponential)) for seed in SEEDS]
    assert_mean(means, 1.0 / (1.0 - load))


@pytest.mark.parametrize(("draw", "scv"), [(constant, 0.0), (two_sizes, 4.0)])
def test_one_slot_waits_as_pollaczek_and_khinchine_say(draw: Draw, scv: float) -> None:
    """Mean sojourn 1 + rho (1 + cv^2) / (2 (1 - rho)) for any law of services."""
    load = 0.6
    means = [sojourns_s(1, 1, arrivals(seed, load, 3000, draw)) for seed in SEEDS]
    assert_mean(means, 1.0 + load * (1.0 + scv) / (2.0 * (1.0 - load)))


@pytest.mark.parametrize("servers", [2, 5])
def test_several_instances_are_an_mmc_queue(servers: int) -> None:
    """Mean sojourn 1 + C(c, rho) / (c (1 - rho))."""
    load = 0.75 * servers
    means = [sojourns_s(servers, 1, arrivals(seed, load, 3000, exponential)) for seed in SEEDS]
    assert_mean(means, 1.0 + erlang_c(servers, load) / (servers - load))


@pytest.mark.parametrize("draw", [constant, exponential, two_sizes])
def test_a_batch_whose_step_grows_with_it_is_processor_sharing(draw: Draw) -> None:
    """Mean sojourn 1 / (1 - rho), whatever the law of services (M/G/1-PS is insensitive)."""
    load = 0.6
    means = [
        sojourns_s(1, 10_000, arrivals(seed, load, 2000, draw), 1e-12, STEP_S) for seed in SEEDS
    ]
    assert_mean(means, 1.0 / (1.0 - load))
