"""Where nearly all of a prompt is, whoever else is there."""

import random
from typing import Any

from policies.routing.kv_aware import KvAware
from policies.routing.load import LeastLoaded
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked, send
from tests.policies.routing.test_hashing import conversations
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, begins, poisson, replicas, warm

LEAST = replicas(4, routing=LeastLoaded())
OURS = replicas(4, routing=KvAware(otherwise=LeastLoaded()))


def where(fleet: Fleet, policy: KvAware, **more: Any) -> int | None:
    instance = policy.route(asked(fleet, **more), fleet.bench.view)
    return None if instance is None else fleet.instances.index(instance)


def test_kv_aware_by_hand_takes_the_holder_of_all_but_so_many_tokens() -> None:
    """80 tokens were sent to the busier instance. Of 90 it lacks 10, of 91 one too many."""
    fleet, policy = Fleet(2), KvAware(most_missing=10, otherwise=LeastLoaded())
    send(fleet, 1, [policy], **begins(1, 5))
    assert where(fleet, policy, **begins(1, 5, 10)) == 1
    assert where(fleet, policy, **begins(1, 5, 11)) == 0
    assert where(fleet, policy, **begins(2, 5)) == 0
    assert where(fleet, policy) == 0
    for _ in range(3):
        send(fleet, 1, [policy], **begins(1, 5))
    assert where(fleet, policy, **begins(1, 5)) == 0, "the holder is full"


def test_kv_aware_keeps_sessions_together_where_nothing_is_cached() -> None:
    fleet, policy = Fleet(4), KvAware()
    homes = {where(fleet, policy, session=3, **begins(text, 5)) for text in range(5)}
    assert len(homes) == 1


def test_kv_aware_gains_where_conversations_grow() -> None:
    gains(warm(conversations(12, 8), 4), OURS, LEAST, lambda p: p.mean_ttft_s, by=1.3)


def test_kv_aware_loses_where_one_beginning_is_in_most_prompts() -> None:
    """Four of five go to who got the text first, until its KV cache is full of their outputs."""
    rng = random.Random(0)
    rows: list[Row] = [
        (at, 300, begins(0 if rng.random() < 0.8 else i, 60))
        for i, at in enumerate(poisson(6.0, 150))
    ]
    loses(warm(rows, 4, slots=64), OURS, LEAST, lambda p: p.mean_ttft_s, by=1.5)
