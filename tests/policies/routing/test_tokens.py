"""Where least was read and written lately."""

import random
from math import exp, isclose

from fleet import events as e
from fleet.domain import CommandId
from policies.routing.load import LeastLoaded
from policies.routing.tokens import LeastTokens
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked, finish, send
from tests.policies.routing.test_freeness import mixed
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, mean_e2e_s, poisson, replicas, warm


def test_least_tokens_by_hand_weighs_prompts_twice_and_forgets() -> None:
    """0: a prompt of 30 (60). 1: prompts of 10 and 10 (40), and 50 tokens at the end of one (90).
    Thirty seconds later a prompt of 10 comes to 0: 60 / e^0.5 + 20 against 90 / e^0.5."""
    fleet, policy = Fleet(2), LeastTokens()
    view = fleet.bench.view

    def best() -> int:
        instance = policy.route(asked(fleet), view)
        assert instance is not None
        return fleet.instances.index(instance)

    send(fleet, 0, [policy], prompt_tokens=30)
    sent = [send(fleet, 1, [policy], prompt_tokens=10) for _ in range(2)]
    assert best() == 1, "40 are fewer than 60, with more requests"
    finish(fleet, sent[0], [policy], tokens=50)
    assert best() == 0
    fleet.bench.at(30.0)
    send(fleet, 0, [policy], prompt_tokens=10)
    zero, one = (policy.tokens(i.id, 30.0) for i in fleet.instances)
    assert isclose(zero, 60 * exp(-0.5) + 20)
    assert isclose(one, 90 * exp(-0.5))
    assert best() == 1


def test_what_is_gone_counts_no_more() -> None:
    fleet, policy = Fleet(1), LeastTokens()
    dispatch = send(fleet, 0, [policy], prompt_tokens=30)
    gone = fleet.instances[0].id
    policy.observe(e.InstanceStopped(0.0, CommandId(1), gone), fleet.bench.view)
    finish(fleet, dispatch, [policy], tokens=50)
    assert policy.tokens(gone, 0.0) == 0.0


LEAST = replicas(4, routing=LeastLoaded())
OURS = replicas(4, routing=LeastTokens())


def test_least_tokens_gains_where_prompts_differ_and_kv_cache_is_scarce() -> None:
    """Counts call a long prompt and a short one the same; tokens do not."""
    setting = warm(mixed(2.0, [30, 200]), 4, kv_bytes_per_token=4_000_000)
    gains(setting, OURS, LEAST, lambda p: p.mean_ttft_s, by=1.1)


def test_least_tokens_loses_where_outputs_differ() -> None:
    """One request in four writes a thousand tokens, which count only once they are all written."""
    rng = random.Random(0)
    rows: list[Row] = [
        (at, rng.choice([5, 5, 5, 1000]), {"prompt_tokens": 10}) for at in poisson(4.0, 150)
    ]
    setting = warm(rows, 4, slots=64, kv_bytes_per_token=4_000_000)
    loses(setting, OURS, LEAST, mean_e2e_s)
