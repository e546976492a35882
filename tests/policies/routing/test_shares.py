"""Light tenants at one end, heavy ones at the other."""

from math import exp, isclose

from fleet.domain import TenantId
from policies.routing.load import LeastLoaded
from policies.routing.shares import VtcBasic
from tests.policies.duels import Setting, gains, loses
from tests.policies.routing.sent import asked, finish, send
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, poisson, replicas, tenant_p99_s, warm


def where(fleet: Fleet, policy: VtcBasic, tenant: int) -> int | None:
    instance = policy.route(asked(fleet, tenant=TenantId(tenant)), fleet.bench.view)
    return None if instance is None else fleet.instances.index(instance)


def test_vtc_basic_by_hand_places_tenants_by_what_they_used() -> None:
    """Tenant 0 read 100 tokens and wrote 50 (200 in all), tenant 1 read 3,000: the bucket is 1,600,
    and their places are 0.125 and 1.875 of 0 to 2. A new one belongs at 0."""
    fleet, policy = Fleet(3), VtcBasic(noise=0.0)
    dispatch = send(fleet, 0, [policy], tenant=0, prompt_tokens=100)
    finish(fleet, dispatch, [policy], tokens=50)
    send(fleet, 1, [policy], tenant=1, prompt_tokens=3000)
    view = fleet.bench.view
    assert isclose(policy.place(TenantId(0), view), 0.125)
    assert isclose(policy.place(TenantId(1), view), 1.875)
    assert [where(fleet, policy, tenant) for tenant in (0, 1, 2)] == [0, 2, 0]


def test_load_moves_a_tenant_once_it_outweighs_the_way() -> None:
    """Two requests of `most_load` 2 count as one place; 0 and 1 are then equal, and 0 is first. A
    third does not count for more."""
    fleet, policy = Fleet(2).load(0, 2), VtcBasic(noise=0.0, most_load=2.0)
    assert where(fleet, policy, 0) == 0
    send(fleet, 1, [policy], tenant=1, prompt_tokens=100)
    send(fleet, 0, [policy], tenant=0, prompt_tokens=400)  # place 0.4: 0.7 there, 0.55 on 1
    assert where(fleet, policy, 0) == 1


def test_use_fades_and_is_forgotten() -> None:
    fleet, policy = Fleet(1), VtcBasic()
    send(fleet, 0, [policy], tenant=1, prompt_tokens=3000)
    fleet.bench.at(600.0)
    assert isclose(policy.tokens(TenantId(1), 600.0), 3000 * exp(-2.0))
    fleet.bench.at(6000.0)
    policy.place(TenantId(1), fleet.bench.view)
    assert not policy._used


def test_nobody_is_chosen_where_all_are_full() -> None:
    assert where(Fleet(2).load(0, 4).load(1, 4), VtcBasic(), 0) is None
    assert where(Fleet(2).load(0, 4).load(1, 3), VtcBasic(), 0) == 1


def light_and_heavy() -> Setting:
    """Short prompts of tenant 0, and twice as many of 3,000 tokens of tenant 1."""
    rows: list[Row] = [(at, 30, {"tenant": 0, "prompt_tokens": 50}) for at in poisson(1.0, 60)]
    rows += [(at, 30, {"tenant": 1, "prompt_tokens": 3000}) for at in poisson(2.0, 120, 1)]
    return warm(rows, 4)


OURS, LEAST = replicas(4, routing=VtcBasic()), replicas(4, routing=LeastLoaded())


def test_vtc_basic_gains_for_the_tenant_with_short_prompts() -> None:
    """It has the first instance for itself, and waits behind no long prompt."""
    gains(light_and_heavy(), OURS, LEAST, tenant_p99_s(0), by=1.5)


def test_vtc_basic_loses_on_the_mean() -> None:
    """The heavy tenant's prompts queue at one end while other instances idle."""
    loses(light_and_heavy(), OURS, LEAST, lambda p: p.mean_ttft_s, by=1.5)
