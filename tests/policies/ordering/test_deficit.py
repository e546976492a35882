"""What is cached first, and for how long."""

import random

from fleet import events as e
from fleet.domain import ArtifactId, ModelId, TenantId
from policies.ordering.deficit import DeficitLongestPrefix
from tests.policies.duels import Setting, gains, loses
from tests.policies.routing.sent import asked, finish, send
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, begins, poisson, replicas, tenant_p99_s, warm


def queue(fleet: Fleet, tenant: int, text: int) -> None:
    """One more that waits, of 5 blocks and 10 tokens."""
    wish = asked(fleet, tenant=TenantId(tenant), **begins(text, 5))
    fleet.bench.controller.handle(e.RequestArrived(fleet.bench.state.now, wish))


def first_of(fleet: Fleet, policy: DeficitLongestPrefix) -> int | None:
    lanes = fleet.bench.state.serving[ModelId(ArtifactId(0))].lanes
    lane = policy.next(lanes, fleet.bench.view)
    return None if lane is None else lane.tenant


def test_dlpm_by_hand_serves_the_longest_match_until_its_tenant_is_overdrawn() -> None:
    """A quantum of 100. Tenant 0 sent 90 tokens and is at -90; as it waits beside tenant 1, both
    get 100: 10 and 100, and its match is the longest. At the end of its request 10 tokens count
    twice: -10, so that tenant 1 is next. With that at -50 both get 100 again."""
    fleet, policy = Fleet(1), DeficitLongestPrefix(quantum_tokens=100)
    dispatch = send(fleet, 0, [policy], tenant=0, **begins(1, 5))
    assert policy._deficits == {0: -90.0}
    queue(fleet, 1, text=2)
    queue(fleet, 0, text=1)
    assert first_of(fleet, policy) == 0
    assert policy._deficits == {0: 10.0, 1: 100.0}
    finish(fleet, dispatch, [policy], tokens=10)
    assert first_of(fleet, policy) == 1
    assert policy._deficits == {0: -10.0, 1: 100.0}
    policy._charge(TenantId(1), 150.0)
    assert first_of(fleet, policy) == 0
    assert policy._deficits == {0: 90.0, 1: 50.0}


def test_what_is_cached_is_not_charged_again() -> None:
    fleet, policy = Fleet(1), DeficitLongestPrefix()
    for _ in range(2):
        send(fleet, 0, [policy], tenant=0, **begins(1, 5))
    assert policy._deficits == {0: -100.0}
    assert first_of(fleet, policy) is None


def texts(per_s: float) -> Setting:
    """Forty tenants with twelve texts of 1,600 tokens; the KV cache holds about five of them."""
    rng = random.Random(0)
    rows: list[Row] = [
        (at, 20, {"tenant": i % 40, **begins(rng.randrange(12), 100)})
        for i, at in enumerate(poisson(per_s, 200))
    ]
    return warm(rows, 1, slots=2, kv_bytes_per_token=4_000_000)


def test_dlpm_gains_where_waiting_prompts_begin_alike() -> None:
    """Those with the same text follow one another while it is in the cache."""
    local = replicas(1, ordering=DeficitLongestPrefix())
    ours, theirs = gains(texts(4.0), local, replicas(1), lambda p: p.mean_ttft_s, by=1.15)
    hits = [p.summary.caches.prefix_hit_ratio or 0.0 for p in (ours, theirs)]
    assert hits[0] > 1.5 * hits[1]


def one_text_and_many() -> Setting:
    """Tenant 1 sends the same text eight times a second, five others one of their own each."""
    rows: list[Row] = [(at, 20, {"tenant": 1, **begins(1, 100)}) for at in poisson(8.0, 300)]
    rows += [
        (at, 20, {"tenant": 2 + i % 5, **begins(2 + i, 100)})
        for i, at in enumerate(poisson(1.0, 40, 1))
    ]
    return warm(rows, 1, slots=2, kv_bytes_per_token=4_000_000)


def test_dlpm_loses_for_tenants_whose_texts_are_new_where_the_quantum_is_large() -> None:
    """Tenant 1 is always cached and never overdrawn: whoever is not waits for all of it."""
    local = replicas(1, ordering=DeficitLongestPrefix(quantum_tokens=1e6))
    loses(one_text_and_many(), local, replicas(1), tenant_p99_s(2), by=1.03)


def test_dlpm_with_a_small_quantum_shares_out_service() -> None:
    fair = replicas(1, ordering=DeficitLongestPrefix(quantum_tokens=1000))
    gains(one_text_and_many(), fair, replicas(1), tenant_p99_s(2), by=1.25)
