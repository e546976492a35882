"""Settings in which how long an instance idles decides, and what that comes to in money."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fleet.commands import Command
from fleet.domain import RequestId, Tier, Whole
from fleet.events import RequestFinished
from fleet.policy import KeepAlive, Policy, Upkeep
from policies import recipes
from tests.policies.bench import Bench
from tests.policies.clusters import spec
from tests.policies.duels import GB, Played, Setting, a40, arrivals

#: Of a card, and of a second that somebody waits for a first token.
CARD_PER_S: Final = 2.0 / 3600.0
PENALTY_PER_S: Final = 0.01


def kept(keep_alive: KeepAlive, *upkeep: Upkeep) -> Policy:
    policy = recipes.serverlessllm_no_migration()
    return replace(policy, keep_alive=keep_alive, upkeep=upkeep)


def asked_at(*times: Sequence[float], until: float | None = None) -> Setting:
    """One card a model, all on one node; each model is asked for at its times."""
    host = a40(0, gpus=len(times), price_per_s=len(times) * CARD_PER_S)
    models = tuple(spec(n, 13 * GB, Whole(1)) for n in range(len(times)))
    resident = tuple((n, 0, Tier.SSD) for n in range(len(times)))
    rows = [(at, n) for n, each in enumerate(times) for at in each]
    asked = arrivals(rows, output_tokens=20)
    return Setting((host,), models, asked, resident=resident, until=until)


#: The seconds between a model's requests in the settings below.
EVERY_90_S: Final = (90.0,) * 10
EVERY_12_S: Final = (12.0,) * 15
EVERY_15_MIN: Final = (900.0,) * 6
BURSTS: Final = (5.0, 5.0, 5.0, 5.0, 5.0, 600.0) * 4
MIXED: Final = (60.0, 3000.0, 120.0, 5000.0, 60.0, 4000.0, 200.0)


def after(*gaps_s: float) -> list[float]:
    """The times at the ends of these gaps, from 0 on."""
    times = [0.0]
    for gap_s in gaps_s:
        times.append(times[-1] + gap_s)
    return times


def bill(played: Played) -> float:
    """Cards and patience."""
    latency = played.summary.latency.ttft_s
    assert latency is not None
    return played.summary.cost.price_total + PENALTY_PER_S * latency.mean * latency.n


def gpu_s(played: Played) -> float:
    return played.gpu_s


def mean_ttft_s(played: Played) -> float:
    return played.mean_ttft_s


def end(bench: Bench, request: int) -> list[Command]:
    """A running request ends at the bench's time."""
    flight = bench.state.flights[RequestId(request)]
    assert flight.instance is not None
    now = bench.state.now
    fact = RequestFinished(
        now, flight.command, flight.request.id, flight.instance.id, now, now, now, 10, 0, 0.0
    )
    return bench.controller.handle(fact)
