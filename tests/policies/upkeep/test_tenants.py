"""Where the last adapters of tenants are brought, by hand and in the simulator."""

from fleet.commands import AttachAdapter, Fetch
from fleet.domain import Tier, Whole
from policies import recipes
from policies.keep_alive.idle_time import FixedKeepAlive
from policies.upkeep.tenants import TenantSticky
from tests import specs
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Played, Setting, a40, arrival, gains, loses, with_
from tests.policies.retention.caches import attaches, mean_ttft_s
from tests.policies.upkeep.observing import told

LORAS = [adapter(n) for n in range(20, 24)]


def brought(bench: Bench, policy: TenantSticky) -> list[str]:
    found = []
    for plan in policy.tend(bench.view):
        command = plan.steps[0].command
        assert isinstance(command, AttachAdapter | Fetch)
        if isinstance(command, AttachAdapter):
            found.append(f"attach {command.adapter} to {command.instance}")
        else:
            assert command.target.tier is Tier.DRAM
            found.append(f"fetch {command.artifact} to n{command.target.node}")
        bench.finish(bench.begin(plan))
    return found


def test_tenant_sticky_by_hand_into_free_slots_then_into_memory() -> None:
    """One instance with two slots; four tenants, of whom the latest come first, one a period."""
    bench = Bench([node(0)], [model(0, adapters=2)], adapters=LORAS)
    policy = TenantSticky()
    instance = bench.run(0, 0)
    assert instance is not None
    for tenant, lora in enumerate((20, 21, 22, 23)):
        told(bench, policy, (0, lora), tenant=tenant)
    assert brought(bench, policy) == [f"attach 23 to {instance.id}"]
    # Then no slot is free, and attaching has left copies of 22 and 23 in memory.
    assert brought(bench, policy) == [f"attach 22 to {instance.id}", "fetch 21 to n0"]
    assert brought(bench, policy) == ["fetch 20 to n0"]
    assert brought(bench, policy) == []


def test_only_the_last_adapter_of_a_tenant_counts_and_only_for_a_while() -> None:
    bench = Bench([node(0)], [model(0, adapters=2)], adapters=LORAS)
    policy = TenantSticky(window_s=100.0)
    bench.run(0, 0)
    told(bench, policy, (0, 20), (0, 21))
    assert brought(bench, policy) == ["attach 21 to 0"]
    told(bench, policy, (0, 22))
    bench.at(100.5)
    assert brought(bench, policy) == []
    assert not policy._last


def test_without_an_instance_it_lies_beside_a_copy_of_the_base() -> None:
    resident = [(0, 0, Tier.SSD), (0, 2, Tier.DRAM)]
    bench = Bench(
        [node(n) for n in range(3)], [model(0, adapters=2)], adapters=LORAS, resident=resident
    )
    policy = TenantSticky()
    told(bench, policy, (0, 20))
    assert brought(bench, policy) == ["fetch 20 to n2"]
    assert brought(bench, policy) == []


def test_nothing_is_brought_for_a_removed_adapter_or_into_memory_that_is_full() -> None:
    full = Bench(
        [node(0, cache_bytes=80)],
        [model(0, adapters=1)],
        adapters=LORAS[:1],
        resident=[(0, 0, Tier.DRAM)],
    )
    policy = TenantSticky()
    told(full, policy, (0, 20), tenant=0)
    told(full, policy, (0, 99), tenant=1)
    assert brought(full, policy) == []


# One card; idle instances stop after 10 s, and adapters with them.

BASE = spec(0, 13 * GB, Whole(1), slots=4, adapters=4)
PLAIN = with_(recipes.serverlessllm_no_migration(), keep_alive=FixedKeepAlive(10.0))
OURS = with_(PLAIN, upkeep=(TenantSticky(),))


def minutes(loyal: bool) -> Setting:
    """Each minute tenant 3 wakes the base; then tenants 1 and 2 come, with their adapters or, if
    not loyal, each time with another."""
    rows = []
    for minute in range(8):
        turn = 0 if loyal else 2 * minute
        at = 60.0 * minute
        rows += [(at, 3, 20), (at + 7.0, 1, 21 + turn), (at + 9.0, 2, 22 + turn)]
    asked = [arrival(i, at, 0, 20, adapter=a, tenant=t) for i, (at, t, a) in enumerate(rows)]
    loras = tuple(specs.adapter(n, 0, weight_bytes=2 * GB) for n in range(20, 40))
    resident = ((0, 0, Tier.SSD),)
    return Setting((a40(0, gpus=1),), (BASE,), tuple(asked), adapters=loras, resident=resident)


def test_tenant_sticky_gains_where_tenants_ask_for_the_same_again() -> None:
    """Their adapters are attached by the time they come back, a load sooner."""
    gains(minutes(loyal=True), OURS, PLAIN, mean_ttft_s)
    ours, theirs = gains(minutes(loyal=True), OURS, PLAIN, cold_ratio, by=1.5)
    assert ours.finished == theirs.finished == 24


def cold_ratio(played: Played) -> float:
    ratio = played.summary.adapters.cold_ratio
    assert ratio is not None
    return ratio


def test_tenant_sticky_loses_where_they_never_do() -> None:
    """What each asked for last is attached for nothing."""
    loses(minutes(loyal=False), OURS, PLAIN, attaches, by=1.2)
