"""The shortest first."""

import random

from fleet.domain import TenantId
from fleet.holders import Flight
from fleet.lanes import Lanes
from policies.ordering.length import ShortestFirst
from tests.policies.duels import Setting, gains, loses
from tests.policies.routing.sent import asked
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, poisson, replicas, warm


def served(policy: ShortestFirst, prompts: list[tuple[float, int]], now: float) -> list[int]:
    """Prompt lengths in the order in which they are served, from (arrival, tokens)."""
    fleet, lanes = Fleet(0), Lanes()
    for tenant, (at, tokens) in enumerate(prompts):
        fleet.bench.at(at)
        lanes.push(Flight(asked(fleet, tenant=TenantId(tenant), prompt_tokens=tokens)))
    fleet.bench.at(now)
    out: list[int] = []
    while (lane := policy.next(lanes, fleet.bench.view)) is not None:
        out.append(lanes.pop(lane).request.prompt_tokens)
    return out


def test_shortest_first_by_hand_takes_the_shortest_prompt() -> None:
    """With a token gained for each half second, the 300 of second 0 are 280 by second 10."""
    prompts = [(0.0, 300), (9.0, 50), (10.0, 290)]
    assert served(ShortestFirst(), prompts, 10.0) == [50, 290, 300]
    assert served(ShortestFirst(aging_s=0.5), prompts, 10.0) == [50, 300, 290]


def mostly_short() -> Setting:
    """Of four prompts one has 3,000 tokens; each is of another tenant; four slots."""
    rng = random.Random(0)
    rows: list[Row] = [
        (at, 30, {"tenant": i, "prompt_tokens": rng.choice([50, 50, 50, 3000])})
        for i, at in enumerate(poisson(2.3, 300))
    ]
    return warm(rows, 1, slots=4)


SHORTEST = replicas(1, ordering=ShortestFirst())


def test_shortest_first_gains_on_the_mean() -> None:
    """Three short prompts pass each long one that waits."""
    gains(mostly_short(), SHORTEST, replicas(1), lambda p: p.mean_ttft_s, by=1.5)


def test_shortest_first_loses_on_the_worst() -> None:
    """Long prompts wait until nobody short does."""
    loses(mostly_short(), SHORTEST, replicas(1), lambda p: p.p99_ttft_s, by=1.5)
