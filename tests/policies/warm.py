"""Settings for the warm path: instances of one model that are there before the load begins.

The first request starts them all; the rest come from the 60th second on.
"""

import random
from collections.abc import Iterable
from typing import Any

import numpy as np

from fleet.domain import AdapterSpec, ArtifactId, ModelId, ModelSpec, Tier, Whole
from fleet.policy import Policy
from policies import recipes
from policies.scaling.queue import FixedReplicas
from sim.calendar import Arrival
from tests.policies.duels import GB, Measure, Played, Setting, a40, arrival, with_

BLOCK_TOKENS = 16
WARM_AT = 60.0
#: (second after the fleet is warm, output tokens, further fields of the request)
Row = tuple[float, int, dict[str, Any]]


def replicas(number: int, **answers: Any) -> Policy:
    """So many instances, for ever; some questions answered by others."""
    return with_(recipes.static(), scaling=FixedReplicas(number), **answers)


def warm(
    rows: Iterable[Row],
    instances: int,
    *,
    slots: int = 16,
    kv_bytes_per_token: int = 500_000,
    max_adapters: int = 0,
    adapters: tuple[AdapterSpec, ...] = (),
    **more: Any,
) -> Setting:
    """A 13 GB model on A40s; `more` are fields of `Setting`."""
    model = ModelSpec(
        ModelId(ArtifactId(0)),
        "m0",
        13 * GB,
        Whole(1),
        max_sequences=slots,
        kv_bytes_per_token=kv_bytes_per_token,
        max_adapters=max_adapters,
    )
    nodes = range(-(-instances // 4))
    return Setting(
        nodes=tuple(a40(n) for n in nodes),
        models=(model,),
        adapters=adapters,
        arrivals=(arrival(0, 0.0, 0, 1), *_arrivals(rows)),
        resident=tuple((0, n, Tier.DRAM) for n in nodes),
        **more,
    )


def _arrivals(rows: Iterable[Row]) -> Iterable[Arrival]:
    for number, (at, output_tokens, more) in enumerate(sorted(rows, key=lambda row: row[0])):
        yield arrival(number + 1, WARM_AT + at, 0, output_tokens, **more)


def begins(text: int, blocks: int, own_tokens: int = 10) -> dict[str, Any]:
    """A prompt that begins with so many blocks of a text, and goes on with tokens of its own."""
    return {
        "prefix": tuple(text * 100_000 + i for i in range(blocks)),
        "block_tokens": BLOCK_TOKENS,
        "prompt_tokens": blocks * BLOCK_TOKENS + own_tokens,
    }


def poisson(per_s: float, number: int, seed: int = 0) -> list[float]:
    """Seconds of so many arrivals."""
    rng, at, out = random.Random(seed), 0.0, []
    for _ in range(number):
        at += rng.expovariate(per_s)
        out.append(at)
    return out


def mean_e2e_s(played: Played) -> float:
    """Mean seconds from arrival to the last token."""
    quantiles = played.summary.latency.e2e_s
    assert quantiles is not None, "nothing finished"
    return quantiles.mean


def tenant_p99_s(tenant: int) -> Measure:
    """P99 of the time to the first token of one tenant's finished requests."""

    def measure(played: Played) -> float:
        requests = played.record.requests
        mine = requests.finished & (requests.tenant == tenant)
        return float(np.percentile((requests.first_token_at - requests.arrived_at)[mine], 99))

    return measure


def missed(setting: Setting) -> Measure:
    """How many of the requests with a deadline had no first token by then."""
    deadlines = {
        a.request.id: a.request.deadline_at
        for a in setting.arrivals
        if a.request.deadline_at is not None
    }

    def measure(played: Played) -> float:
        requests = played.record.requests
        columns = (requests.id, requests.finished, requests.first_token_at)
        met = sum(
            finished and first_at <= deadlines.get(number, -1.0)
            for number, finished, first_at in zip(*(c.tolist() for c in columns), strict=True)
        )
        return float(len(deadlines) - met)

    return measure


def not_served(played: Played) -> float:
    """Requests that did not finish."""
    return float(played.summary.requests.arrived - played.finished)
