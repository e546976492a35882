"""Counters of service: charged, put right, and lifted."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import ArtifactId, ModelId, Part, TenantId
from fleet.holders import Flight
from fleet.lanes import Lanes
from fleet.needs import Need, Needs
from policies.ordering.fair import Counters, LeastServedNeed, VirtualTokenCounter, Weighed
from tests.policies.bench import Bench, model
from tests.policies.contended import contended, evicting
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked, finish
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, poisson, replicas, tenant_p99_s, warm


def arrive(fleet: Fleet, policy: Weighed, to: int | None, **more: Any) -> Dispatch | None:
    """A request that the policy sees come, and go to an instance; None leaves it in the queue."""
    bench = fleet.bench
    event = e.RequestArrived(bench.state.now, asked(fleet, **more))
    policy.observe(event, bench.view)
    bench.aim.at = None if to is None else fleet.instances[to]
    sent = [c for c in bench.controller.handle(event) if isinstance(c, Dispatch)]
    bench.aim.at = None
    for dispatch in sent:
        policy.observe(dispatch, bench.view)
    return sent[0] if sent else None


def first_of(fleet: Fleet, policy: VirtualTokenCounter) -> int:
    lanes = fleet.bench.state.serving[ModelId(ArtifactId(0))].lanes
    lane = policy.next(lanes, fleet.bench.view)
    assert lane is not None
    return lane.tenant


def test_vtc_by_hand_serves_who_was_served_least() -> None:
    """Prompts of 30 (tenant 0) and 10 (tenant 1) are sent, each to an empty queue: tenant 1 is
    lifted to 30 and comes to 40, and tenant 0 to 40 as it queues again. At the end of its first
    request 15 tokens count twice: 70."""
    fleet, policy = Fleet(1), VirtualTokenCounter(predict=False)
    of = policy.counters.of
    first = arrive(fleet, policy, 0, tenant=0, prompt_tokens=30)
    second = arrive(fleet, policy, 0, tenant=1, prompt_tokens=10)
    assert first is not None
    assert second is not None
    assert (of(TenantId(0)), of(TenantId(1))) == (30.0, 40.0)
    for tenant in (0, 1):
        arrive(fleet, policy, None, tenant=tenant)
    assert first_of(fleet, policy) == 0, "40 and 40: the older request"
    finish(fleet, first, [policy], tokens=15)
    assert (of(TenantId(0)), of(TenantId(1))) == (70.0, 40.0)
    assert first_of(fleet, policy) == 1
    arrive(fleet, policy, None, tenant=2)
    assert of(TenantId(2)) == 40.0, "lifted to the least of those who wait"
    finish(fleet, second, [policy], tokens=1)
    assert first_of(fleet, policy) == 2


def test_output_is_charged_in_advance_and_put_right() -> None:
    """128 tokens are expected before any were seen: 10 + 2 * 128, and 10 + 2 * 15 at the end."""
    fleet, policy = Fleet(1), VirtualTokenCounter()
    dispatch = arrive(fleet, policy, 0, tenant=3, prompt_tokens=10)
    assert dispatch is not None
    assert policy.counters.of(TenantId(3)) == 266.0
    finish(fleet, msgspec.structs.replace(dispatch, id=dispatch.id - 1), [policy], tokens=90)
    assert policy.counters.of(TenantId(3)) == 266.0, "a late report of another attempt"
    finish(fleet, dispatch, [policy], tokens=15)
    assert policy.counters.of(TenantId(3)) == 40.0


def test_what_is_sent_again_is_charged_its_prompt_again_and_its_output_once() -> None:
    fleet, counters = Fleet(0), Counters()
    request = asked(fleet, tenant=TenantId(1))
    for _ in range(2):
        counters.sent(request, prompt=10.0, expected=100.0)
    assert counters.of(TenantId(1)) == 120.0
    counters.ended(request, 30.0)
    assert counters.of(TenantId(1)) == 50.0


def test_a_request_that_was_turned_away_does_not_count_as_waiting() -> None:
    """Its tenant comes back to an empty queue, and is lifted."""
    fleet, policy = Fleet(1), VirtualTokenCounter(predict=False)
    gone = e.RequestArrived(0.0, asked(fleet, tenant=TenantId(1)))
    policy.observe(gone, fleet.bench.view)  # no flight follows
    arrive(fleet, policy, 0, tenant=0, prompt_tokens=30)
    arrive(fleet, policy, None, tenant=1)
    assert policy.counters.of(TenantId(1)) == 30.0


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=30))
def test_two_who_always_wait_are_never_further_apart_than_one_request(
    prompts: list[tuple[int, int]],
) -> None:
    fleet, policy = Fleet(0), VirtualTokenCounter(predict=False)
    lanes = Lanes()
    for pair in prompts:
        for tenant, tokens in enumerate(pair):
            lanes.push(Flight(asked(fleet, tenant=TenantId(tenant), prompt_tokens=tokens)))
    while len(list(lanes)) == 2:
        lane = policy.next(lanes, fleet.bench.view)
        assert lane is not None
        request = lanes.pop(lane).request
        policy.counters.sent(request, float(request.prompt_tokens), 0.0)
        apart = policy.counters.of(TenantId(0)) - policy.counters.of(TenantId(1))
        assert abs(apart) <= 50.0


def test_vtc_by_hand_takes_the_need_of_the_tenant_that_was_served_least() -> None:
    """Tenant 0 waits for model 0, the older need; tenants 0 and 1 for model 1."""
    fleet, policy = Fleet(0), LeastServedNeed()
    bench = Bench([], [model(0), model(1)])
    for number, tenant in ((0, 0), (1, 0), (1, 1)):
        lanes = bench.state.serving[ModelId(ArtifactId(number))].lanes
        lanes.push(Flight(asked(fleet, tenant=TenantId(tenant))))
    needs = Needs()
    needs.add(Need(model(0, Part(10)), 1, 1.0))
    needs.add(Need(model(1, Part(20)), 2, 5.0))
    policy.counters.served = {TenantId(0): 9.0, TenantId(1): 4.0}
    need = policy.next(needs, bench.view)
    assert need is not None
    assert need.model.id == 1
    policy.counters.served[TenantId(1)] = 9.0
    need = policy.next(needs, bench.view)
    assert need is not None
    assert need.model.id == 0, "equal service: the older need"


# In the simulator


VTC = replicas(1, ordering=VirtualTokenCounter())


def test_vtc_gains_for_the_tenant_beside_one_that_floods() -> None:
    """One request a second beside six, where five can be served."""
    rows: list[Row] = [(at, 100, {"tenant": 0}) for at in poisson(1.0, 60)]
    rows += [(at, 100, {"tenant": 1}) for at in poisson(6.0, 360, 1)]
    ours, theirs = gains(warm(rows, 1), VTC, replicas(1), tenant_p99_s(0), by=5.0)
    assert ours.finished == theirs.finished


def test_vtc_loses_where_the_tenant_with_few_requests_has_long_ones() -> None:
    """Its prompts of 3,000 tokens use up its share of the tokens: the worst waits are longer."""
    rows: list[Row] = [(at, 20, {"tenant": 0, "prompt_tokens": 3000}) for at in poisson(1.0, 60)]
    rows += [(at, 100, {"tenant": 1}) for at in poisson(4.0, 240, 1)]
    loses(warm(rows, 1), VTC, replicas(1), lambda p: p.p99_ttft_s, by=1.1)


LIGHT_AND_HEAVY = contended(
    [
        *((i * 0.3, i % 10, {"tenant": 1}) for i in range(60)),
        *((i * 6.0, 10 + i % 3, {"tenant": 0}) for i in range(6)),
    ],
    13,
)
SHARED = evicting(arbitration=LeastServedNeed())


def test_vtc_gains_for_the_tenant_whose_models_wait_behind_anothers() -> None:
    """Ten models of tenant 1 with a long queue each, three of tenant 0, and one card."""
    gains(LIGHT_AND_HEAVY, SHARED, evicting(), tenant_p99_s(0), by=2.0)


def test_vtc_loses_for_the_tenant_that_asked_for_most() -> None:
    """Every load for tenant 0 comes before its own, however old those needs are."""
    loses(LIGHT_AND_HEAVY, SHARED, evicting(), tenant_p99_s(1), by=1.05)
