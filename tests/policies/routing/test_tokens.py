"""Where least was read and written lately."""

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


def test_least_tokens_loses_where_what_was_read_is_long_done() -> None:
    """One instance read 6,000 tokens and idles: for half a minute nearly all go to the other."""
    rows: list[Row] = [(0.0, 1, {"prompt_tokens": 6000})]
    rows += [(3.0 + at, 200, {"prompt_tokens": 100}) for at in poisson(2.5, 60)]
    setting = warm(rows, 2, slots=32, kv_bytes_per_token=4_000_000)
    ours, least = replicas(2, routing=LeastTokens()), replicas(2, routing=LeastLoaded())
    loses(setting, ours, least, mean_e2e_s, by=1.1)
