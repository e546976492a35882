"""To where the beginning is, within limits."""

import random
from math import isclose
from typing import Any

from fleet.policy import Routing
from policies.routing.load import LeastLoaded
from policies.routing.prefixes import AibrixPrefix, Preble, Window
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked, finish, send
from tests.policies.routing.test_hashing import conversations
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, begins, poisson, replicas, warm

LEAST = replicas(4, routing=LeastLoaded())


def where(fleet: Fleet, policy: Routing, **more: Any) -> int | None:
    instance = policy.route(asked(fleet, **more), fleet.bench.view)
    return None if instance is None else fleet.instances.index(instance)


# AIBrix


def test_prefix_aibrix_by_hand_stays_below_mean_plus_one_deviation() -> None:
    """Loads 2, 0, 0: mean 0.67 + deviation 0.94, so the holder's 2 is too many and the least
    loaded serves. Loads 2, 1, 0: 1 + 0.82; the second, with 3 of 5 blocks, is the longest match."""
    fleet, policy = Fleet(3), AibrixPrefix()
    send(fleet, 0, [policy], **begins(1, 5))
    send(fleet, 0, [policy])
    assert where(fleet, policy, **begins(1, 5)) == 1
    send(fleet, 1, [policy], **begins(1, 3))
    assert where(fleet, policy, **begins(1, 5)) == 1
    assert where(fleet, AibrixPrefix(), **begins(1, 5)) == 2, "it was sent nothing"
    loose = AibrixPrefix(deviations=2.0)
    loose._index.sent(fleet.instances[0].id, begins(1, 5)["prefix"])
    assert where(fleet, loose, **begins(1, 5)) == 0


def test_prefix_aibrix_forgets_prefixes_while_loads_are_far_apart() -> None:
    """Loads 0 and 2; an imbalance of 2 makes the least loaded serve, one of 3 does not."""
    fleet = Fleet(2)
    strict, lax = AibrixPrefix(imbalance=2), AibrixPrefix(imbalance=3, deviations=2.0)
    for _ in range(2):
        send(fleet, 0, [strict, lax], **begins(1, 5))
    assert where(fleet, strict, **begins(1, 5)) == 1
    assert where(fleet, lax, **begins(1, 5)) == 0


def test_prefix_aibrix_takes_the_least_loaded_without_a_match() -> None:
    fleet, policy = Fleet(2), AibrixPrefix()
    send(fleet, 0, [policy], **begins(1, 5))
    assert where(fleet, policy, **begins(2, 5)) == 1
    assert where(fleet, policy) == 1
    assert where(Fleet(2).load(0, 4).load(1, 4), policy, **begins(1, 5)) is None


def test_prefix_aibrix_gains_where_conversations_grow() -> None:
    """Each turn's prompt is the conversation so far: it is mostly cached where the last one was."""
    setting = warm(conversations(12, 8), 4)
    gains(setting, replicas(4, routing=AibrixPrefix()), LEAST, lambda p: p.mean_ttft_s, by=1.3)


def test_prefix_aibrix_loses_where_what_is_shared_is_short() -> None:
    """A tenth of each prompt is known somewhere: the way there leads beside idle instances."""
    rng = random.Random(0)
    rows: list[Row] = [(at, 30, begins(rng.randrange(200), 6, 1000)) for at in poisson(6.0, 300)]
    ours = replicas(4, routing=AibrixPrefix())
    loses(warm(rows, 4), ours, LEAST, lambda p: p.mean_ttft_s, by=1.05)


# Preble


def test_preble_by_hand_exploits_more_than_half_and_else_counts_costs() -> None:
    """0.01 s a prompt token, 0.1 s a new one, 128 new ones expected. A prompt of 90 tokens on
    instance 0 was 13.7 s of work; then a request without a prefix on 1, of 60 tokens, 13.4 s.

    A prompt of 64 + 26 tokens that finds 64 on 0 (71 %) goes there. One of 64 + 74 (46 %) would
    cost 13.7 + 0.74 there and 13.4 + 1.38 on 1: 14.44 against 14.78, still there. One that shares
    16 of its 90 tokens: 14.44 against 14.3.
    """
    fleet, policy = Fleet(2), Preble()
    send(fleet, 0, [policy], **begins(1, 4, 26))
    send(fleet, 1, [policy], prompt_tokens=60)
    assert isclose(policy._work.total_s(fleet.instances[0].id, 0.0), 13.7)
    assert isclose(policy._work.total_s(fleet.instances[1].id, 0.0), 13.4)
    assert where(fleet, policy, **begins(1, 4, 26)) == 0
    assert where(fleet, policy, **begins(1, 4, 74)) == 0
    assert where(fleet, policy, **begins(1, 1, 74)) == 1
    assert where(fleet, Preble(), **begins(1, 4, 26)) == 0, "equal costs: the first"


def test_preble_counts_only_what_was_not_cached_as_work() -> None:
    fleet, policy = Fleet(1), Preble()
    send(fleet, 0, [policy], **begins(1, 4, 26))
    send(fleet, 0, [policy], **begins(1, 4, 26))
    assert isclose(policy._work.total_s(fleet.instances[0].id, 0.0), 13.7 + 0.26 + 12.8)


def test_preble_takes_another_instance_where_the_holder_is_full() -> None:
    fleet, policy = Fleet(2), Preble()
    sent = [send(fleet, 0, [policy], **begins(1, 5)) for _ in range(4)]
    assert where(fleet, policy, **begins(1, 5)) == 1
    finish(fleet, sent[0], [policy])
    assert where(fleet, policy, **begins(1, 5)) == 0


def test_work_leaves_the_window_after_it() -> None:
    fleet, window = Fleet(1), Window()
    number = fleet.instances[0].id
    window.give(number, 0.0, 2.0)
    window.give(number, 10.0, 3.0)
    assert window.total_s(number, since=0.0) == 5.0
    assert window.total_s(number, since=5.0) == 3.0
    assert window.total_s(number, since=11.0) == 0.0


def test_preble_gains_where_conversations_grow() -> None:
    setting = warm(conversations(12, 8), 4)
    gains(setting, replicas(4, routing=Preble()), LEAST, lambda p: p.mean_ttft_s, by=1.5)


def test_preble_loses_where_one_beginning_is_in_most_prompts() -> None:
    """Four of five prompts begin alike: they are exploited on the instances that saw the text
    first, although three hundred tokens of output each make load what counts."""
    rng = random.Random(0)
    rows: list[Row] = [
        (at, 300, begins(0 if rng.random() < 0.8 else i, 60))
        for i, at in enumerate(poisson(6.0, 150))
    ]
    ours = replicas(4, routing=Preble())
    loses(warm(rows, 4, slots=64), ours, LEAST, lambda p: p.mean_ttft_s, by=1.5)
