"""One model, its requests over time, and two systems that differ in their scaling alone."""

import random

from fleet.domain import Tier, Whole
from fleet.policy import Policy, Scaling
from policies import recipes
from policies.keep_alive.idle_time import KeepForever
from policies.scaling.queue import PerQueue
from tests.policies.clusters import spec
from tests.policies.duels import GB, Played, Setting, a40, arrivals, with_


def served(rows: list[tuple[float, int]], *, slots: int = 4, output_tokens: int = 200) -> Setting:
    """Eight cards, and a copy of the model on the SSD of both nodes."""
    return Setting(
        nodes=(a40(0), a40(1)),
        models=(spec(0, 13 * GB, Whole(1), slots=slots),),
        resident=((0, 0, Tier.SSD), (0, 1, Tier.SSD)),
        arrivals=arrivals(rows, output_tokens=output_tokens),
    )


def ramp(to_per_s: float = 1.2, until_s: float = 400.0) -> list[tuple[float, int]]:
    """Poisson arrivals whose rate grows from 0.05 a second."""
    rng, at, rows = random.Random(0), 0.0, []
    while at < until_s:
        at += rng.expovariate(0.05 + (to_per_s - 0.05) * at / until_s)
        rows.append((at, 0))
    return rows


def bursts() -> list[tuple[float, int]]:
    """Eight requests at once, every 200 s."""
    return [(200.0 * burst + 0.01 * i, 0) for burst in range(5) for i in range(8)]


def fall() -> list[tuple[float, int]]:
    """A crowd for a minute, then one request every 20 s for ten minutes."""
    return [(0.5 * i, 0) for i in range(100)] + [(60.0 + 20.0 * i, 0) for i in range(30)]


def step() -> list[tuple[float, int]]:
    """One request every 10 s, then of a sudden one every 0.8 s."""
    return [(10.0 * i, 0) for i in range(10)] + [(100.0 + 0.8 * i, 0) for i in range(150)]


def system(scaling: Scaling) -> Policy:
    """Only the scaling stops instances that are not in the way."""
    return with_(recipes.serverlessllm(), scaling=scaling, keep_alive=KeepForever())


PER_QUEUE = system(PerQueue())


def mean_e2e_s(played: Played) -> float:
    quantiles = played.summary.latency.e2e_s
    assert quantiles is not None, "nothing finished"
    return quantiles.mean


def starts(played: Played) -> float:
    return float(played.commands["StartInstance"])
