"""What ServerlessLoRA's knapsack puts where, by hand and in the simulator."""

from collections.abc import Sequence

import pytest

from fleet.commands import Drop, Fetch
from fleet.domain import AdapterId, ArtifactId, Tier
from policies.retention.recency import LeastRecentlyUsed
from policies.upkeep.preloading import DensityKnapsack, placed, worth_having
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import Setting, gains, loses, with_
from tests.policies.retention.caches import SHIFT, WEAVE, asked, each_loads, mean_ttft_s
from tests.policies.upkeep.observing import told

LRU = each_loads(LeastRecentlyUsed())
OURS = with_(LRU, upkeep=(DensityKnapsack(),))


def proposed(bench: Bench, policy: DensityKnapsack, *, carry_out: bool = True) -> list[str]:
    """What it does on each node, carried out as it is proposed."""
    found = []
    for plan in policy.tend(bench.view):
        for step in plan.steps:
            command = step.command
            assert isinstance(command, Fetch | Drop)
            place = command.target if isinstance(command, Fetch) else command.place
            found.append(f"{type(command).__name__} {command.artifact} n{place.node}")
            assert place.tier is Tier.DRAM
        if carry_out:
            bench.finish(bench.begin(plan))
    return found


def small(cache_bytes: int = 100, nodes: int = 2) -> Bench:
    """Models of 80 bytes, adapters of 8, all on both SSDs but for model 2."""
    specs = [model(n, adapters=2) for n in range(3)]
    loras = [adapter(20, 0), adapter(21, 1), adapter(22, 2)]
    hosts = [node(n, cache_bytes=cache_bytes) for n in range(nodes)]
    return Bench(hosts, specs, adapters=loras, policy=None)


def test_density_knapsack_by_hand() -> None:
    """A window of 100 s; model 0 is asked for twice, 1 once, both from the remote store.

    A load takes 80 / 10 = 8 s from there and 80 / 80 = 1 s from DRAM, so 7 s are saved:
    rho = 2 / 100 * 7 / 80 and 1 / 100 * 7 / 80. An adapter saves 0.8 - 0.1 s on 8 bytes: 0.7 / 8,
    at one request in 100 s as dense as its base was at one.
    """
    bench = small()
    policy = DensityKnapsack(window_s=100.0)
    told(bench, policy, (0, None), (0, 20), (1, None))
    density = {int(i.artifact): i.density for i in worth_having(policy._rates, bench.view)}
    assert density == pytest.approx({0: 2 * 7 / 8000, 20: 0.7 / 800, 1: 7 / 8000})
    assert next(iter(density)) == 0
    # Node 0 gets model 0 and its adapter, node 1 has more room for model 1.
    wanted = placed(worth_having(policy._rates, bench.view), bench.view)
    assert [[int(a) for a in on] for on in wanted] == [[0, 20], [1]]
    assert proposed(bench, policy) == ["Fetch 0 n0", "Fetch 1 n1"]
    assert proposed(bench, policy) == ["Fetch 20 n0"]
    assert proposed(bench, policy) == []


def test_an_adapter_lies_nowhere_without_its_base() -> None:
    """Model 0 fits nowhere; its adapter would, but only where the base runs."""
    bench = small(cache_bytes=60)
    policy = DensityKnapsack()
    told(bench, policy, (0, 20))
    assert proposed(bench, policy) == []
    bench.run(0, 1)
    assert proposed(bench, policy) == ["Fetch 20 n1"]


def test_the_least_dense_beyond_the_wanted_leave_first_and_then_comes_what_is_missing() -> None:
    bench = Bench(
        [node(0, cache_bytes=170)],
        [model(n) for n in range(4)],
        resident=[(2, 0, Tier.DRAM), (3, 0, Tier.DRAM)],
    )
    policy = DensityKnapsack()
    told(bench, policy, (0, None), (0, None), (1, None), (1, None), (3, None))
    assert proposed(bench, policy) == ["Drop 2 n0"]  # nobody asked for it
    assert proposed(bench, policy) == ["Fetch 0 n0"]
    assert proposed(bench, policy) == ["Drop 3 n0"]
    assert proposed(bench, policy) == ["Fetch 1 n0"]
    assert proposed(bench, policy) == []


def test_what_is_in_use_is_not_dropped_and_the_dead_are_left_alone() -> None:
    bench = Bench([node(0, cache_bytes=100)], [model(0), model(1)], resident=[(1, 0, Tier.DRAM)])
    policy = DensityKnapsack()
    told(bench, policy, (0, None))
    bench.view.pool(bench.view.node(bench.view.nodes.specs[0].id).id, Tier.DRAM).entries[
        ArtifactId(1)
    ].pins = 1
    assert proposed(bench, policy, carry_out=False) == []
    dead = small(nodes=1)
    told(dead, policy, (0, None))
    dead.state.nodes.lose(dead.view.nodes.specs[0].id)
    assert proposed(dead, policy) == []


def test_an_adapter_that_was_removed_is_not_fetched() -> None:
    bench = small()
    policy = DensityKnapsack()
    told(bench, policy, (0, 20))
    del bench.state.adapters[AdapterId(ArtifactId(20))]
    assert proposed(bench, policy) == ["Fetch 0 n0"]
    assert proposed(bench, policy) == []


def setting(string: Sequence[int]) -> Setting:
    return asked(string, dram=3)


def test_density_knapsack_gains_where_two_models_are_asked_for_among_others() -> None:
    """LRU lets the two go as others pass; they are fetched back before they are asked for."""
    ours, _ = gains(setting(WEAVE), OURS, LRU, mean_ttft_s, by=1.3)
    assert ours.commands["Fetch"] > 5


def test_density_knapsack_loses_where_what_was_popular_is_asked_for_no_more() -> None:
    """For minutes its rate is still the highest: it displaces what is in turn."""
    loses(setting(SHIFT), OURS, LRU, mean_ttft_s, by=1.3)
