"""Where there is most KV cache a request."""

import random
from typing import Any

from fleet.policy import Routing
from policies.routing.freeness import Freeness
from policies.routing.load import LeastLoaded
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked, send
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, poisson, replicas, warm

PAPER, CODE = Freeness(), Freeness(variant="code")


def room_for_50(instances: int) -> Fleet:
    """Cards of 80 bytes, weights of 30, a byte a token."""
    return Fleet(instances, weight_bytes=30, kv_bytes_per_token=1)


def where(fleet: Fleet, policy: Routing, **more: Any) -> int | None:
    instance = policy.route(asked(fleet, **more), fleet.bench.view)
    return None if instance is None else fleet.instances.index(instance)


def test_freeness_by_hand_is_tokens_left_for_each_request() -> None:
    """One prompt of 40 leaves 10 tokens; two of 8 leave 34, 17 for each."""
    fleet = room_for_50(2)
    send(fleet, 0, [], prompt_tokens=40)
    for _ in range(2):
        send(fleet, 1, [], prompt_tokens=8)
    assert where(fleet, LeastLoaded()) == 0
    assert where(fleet, PAPER) == where(fleet, CODE) == 1


def test_freeness_counts_the_head_of_what_waits_or_all_of_it_by_variant() -> None:
    """Two of 30 and three of 25 do not fit in 50. All: -10 / 2 and -25 / 3. The head alone: -30 / 2
    and -25 / 3."""
    fleet = room_for_50(2)
    for _ in range(2):
        send(fleet, 0, [], prompt_tokens=30)
    for _ in range(3):
        send(fleet, 1, [], prompt_tokens=25)
    assert where(fleet, CODE) == 0
    assert where(fleet, PAPER) == 1


def test_freeness_keeps_ordinary_requests_away_from_urgent_ones() -> None:
    """40 tokens are left beside the urgent request and 25 beside the other; headroom takes 30."""
    fleet = room_for_50(2)
    send(fleet, 0, [], prompt_tokens=10, priority=1)
    send(fleet, 1, [], prompt_tokens=25)
    careful = Freeness(headroom_tokens=30)
    assert where(fleet, careful) == 1
    assert where(fleet, careful, priority=1) == 0
    assert where(fleet, CODE) == 0


def test_freeness_is_least_load_where_a_model_has_no_kv_cache() -> None:
    fleet = Fleet(3).load(0, 2).load(1, 1).load(2, 4)
    assert where(fleet, PAPER) == where(fleet, CODE) == 1
    assert where(Fleet(0), PAPER) is where(Fleet(0), CODE) is None


def mixed(per_s: float, outputs: list[int]) -> list[Row]:
    """Prompts of 50 and of 2,000 tokens."""
    rng = random.Random(0)
    return [
        (at, rng.choice(outputs), {"prompt_tokens": rng.choice([50, 50, 2000])})
        for at in poisson(per_s, 150)
    ]


FREE, LEAST = replicas(4, routing=Freeness()), replicas(4, routing=LeastLoaded())


def test_freeness_gains_where_kv_cache_is_scarce() -> None:
    """4 MB a token: four long prompts fill a cache that many short ones do not."""
    setting = warm(mixed(2.0, [30, 200]), 4, kv_bytes_per_token=4_000_000)
    gains(setting, FREE, LEAST, lambda p: p.mean_ttft_s, by=1.1)


def test_freeness_loses_where_requests_are_alike_and_come_at_a_steady_pace() -> None:
    """One that is nearly done holds more tokens than one that has just begun: among equals the
    next is sent to where a prompt is still being read."""
    rows: list[Row] = [(i * 0.2, 30, {"prompt_tokens": 3000}) for i in range(80)]
    loses(warm(rows, 4), FREE, LEAST, lambda p: p.mean_ttft_s, by=1.2)
