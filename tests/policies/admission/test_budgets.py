"""What a tenant may spend, what comes back, and when to come again."""

from math import isclose

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import Request, TenantId
from policies.admission.budgets import TokenBucket
from policies.admission.gates import AdmitAll
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked, finish, send
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, not_served, poisson, replicas, tenant_p99_s, warm


def costing(fleet: Fleet, tokens: int, tenant: int = 0) -> Request:
    """Half of them in the prompt."""
    half = tokens // 2
    return asked(fleet, prompt_tokens=half, max_tokens=tokens - half, tenant=TenantId(tenant))


def test_token_bucket_by_hand_refuses_with_the_time_until_both_buckets_suffice() -> None:
    """6 requests and 1,200 tokens a minute: one each 10 s, 20 tokens a second. Two of 500 leave 200
    tokens; a third lacks 300, which take 15 s. After 5 s it lacks 200: 10 s."""
    fleet, policy = Fleet(1), TokenBucket(6, 1200)
    view = fleet.bench.view
    assert policy.admit(costing(fleet, 500), view) is None
    assert policy.admit(costing(fleet, 500), view) is None
    refusal = policy.admit(costing(fleet, 500), view)
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after_s) == ("rate_limited", 15.0)
    fleet.bench.at(5.0)
    again = policy.admit(costing(fleet, 500), view)
    assert again is not None
    assert again.retry_after_s is not None
    assert isclose(again.retry_after_s, 10.0)
    assert policy.admit(costing(fleet, 500, tenant=1), view) is None, "another has its own"
    fleet.bench.at(15.0)
    assert policy.admit(costing(fleet, 500), view) is None


def test_requests_are_counted_beside_tokens() -> None:
    fleet, policy = Fleet(1), TokenBucket(2, 1e6)
    for _ in range(2):
        assert policy.admit(costing(fleet, 2), fleet.bench.view) is None
    refusal = policy.admit(costing(fleet, 2), fleet.bench.view)
    assert refusal is not None
    assert refusal.retry_after_s == 30.0


def test_what_no_bucket_can_ever_hold_is_refused_without_a_hint() -> None:
    fleet = Fleet(1)
    refusal = TokenBucket(60, 100).admit(costing(fleet, 101), fleet.bench.view)
    assert refusal is not None
    assert refusal.retry_after_s is None


def test_tokens_that_were_not_generated_come_back_at_the_end() -> None:
    """10 + 100 of 1,200 are taken, of which 100 - 30 come back; a late report gives nothing."""
    fleet, policy = Fleet(1), TokenBucket(60, 1200)
    dispatch = send(fleet, 0, [policy])
    assert policy.admit(asked(fleet), fleet.bench.view) is None
    late = msgspec.structs.replace(dispatch, id=dispatch.id - 1)
    bucket = policy._buckets[TenantId(0)]
    finish(fleet, late, [policy], tokens=30)
    assert bucket.tokens == 1200 - 110
    finish(fleet, dispatch, [policy], tokens=30)
    assert bucket.tokens == 1200 - 110 + 70


@given(
    st.lists(st.tuples(st.floats(0.0, 100.0), st.integers(1, 400), st.integers(0, 1)), max_size=30)
)
def test_no_tenant_spends_more_than_a_full_bucket_and_what_came_in(
    asks: list[tuple[float, int, int]],
) -> None:
    fleet, policy = Fleet(1), TokenBucket(5, 600)
    spent: dict[int, list[int]] = {0: [], 1: []}
    now = 0.0
    for wait_s, tokens, tenant in asks:
        now += wait_s
        fleet.bench.at(now)
        if policy.admit(costing(fleet, tokens, tenant), fleet.bench.view) is None:
            spent[tenant].append(tokens)
        minutes = now / 60.0
        assert sum(spent[tenant]) <= 600 * (1 + minutes) + 1e-6
        assert len(spent[tenant]) <= 5 * (1 + minutes) + 1e-6


def flood() -> list[Row]:
    """Tenant 0 sends one request a second, tenant 1 twelve: more than one instance can serve."""
    light: list[Row] = [(at, 100, {"tenant": 0, "max_tokens": 200}) for at in poisson(1.0, 60)]
    return light + [(at, 100, {"tenant": 1, "max_tokens": 200}) for at in poisson(12.0, 600, 1)]


def test_token_bucket_gains_for_the_tenant_beside_one_that_floods() -> None:
    setting = warm(flood(), 1)
    bounded = replicas(1, admission=TokenBucket(requests_per_min=120))
    gains(setting, bounded, replicas(1, admission=AdmitAll()), tenant_p99_s(0), by=2.0)


def test_token_bucket_loses_where_a_burst_would_have_found_room() -> None:
    """Three seconds of twenty requests each at four idle instances: half are turned away."""
    rows: list[Row] = [(at, 30, {"max_tokens": 200}) for at in poisson(20.0, 60)]
    bounded = replicas(4, admission=TokenBucket(requests_per_min=30))
    loses(warm(rows, 4), bounded, replicas(4, admission=AdmitAll()), not_served, by=2.0)
