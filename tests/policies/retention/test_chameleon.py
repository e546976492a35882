"""Chameleon's adapter cache: by hand and in the simulator."""

from fleet.domain import ArtifactId, Tier
from fleet.pools import Pool, Stay
from policies.retention.chameleon import Chameleon
from policies.retention.recency import LeastRecentlyUsed
from tests import specs
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import adapters_asked, attaches, slots

LRU, OURS = slots(LeastRecentlyUsed()), slots(Chameleon())


def slots_of(bench: Bench, uses: dict[int, tuple[int, float]]) -> Pool:
    """A pool of adapter slots: by adapter, how often it was used and when last."""
    pool = Pool(Tier.GPU, len(uses))
    for number, (times, last_at) in uses.items():
        entry = pool.add(ArtifactId(number), 1, 0.0)
        entry.stay = Stay.HERE
        entry.uses, entry.used_at = times, last_at
    return pool


def test_chameleon_by_hand_small_and_cold_go_first() -> None:
    """10: .45 * 1/4 + .1 * 1 + .45 * 1/8 = .269; 11: .45 * 4/4 + 0 + .45 * 2/8 = .5625;
    12: .45 * 1/4 + .1 * .5 + .45 * 8/8 = .6125."""
    sizes = {10: 8, 11: 16, 12: 64}
    loras = [specs.adapter(n, 0, weight_bytes=size) for n, size in sizes.items()]
    bench = Bench([node(0)], [model(0, adapters=3)], adapters=loras)
    pool = slots_of(bench, {10: (1, 20.0), 11: (4, 0.0), 12: (1, 10.0)})
    order = [int(e.artifact) for e in Chameleon().victims(pool, 3, bench.view) or ()]
    assert order == [10, 11, 12]
    by_recency = Chameleon(frequency_weight=0.0, recency_weight=1.0, size_weight=0.0)
    assert [int(e.artifact) for e in by_recency.victims(pool, 3, bench.view) or ()] == [11, 12, 10]


def test_an_adapter_that_was_removed_counts_as_nothing() -> None:
    bench = Bench([node(0)], [model(0, adapters=2)], adapters=[adapter(10)])
    pool = slots_of(bench, {10: (1, 0.0), 99: (1, 0.0)})
    assert [int(e.artifact) for e in Chameleon().victims(pool, 1, bench.view) or ()] == [99]


def test_chameleon_gains_where_one_adapter_is_large() -> None:
    """A loop over three adapters with two slots: LRU never hits, this keeps the large one."""
    gains(adapters_asked((20, 21, 22) * 6, large=(20,)), OURS, LRU, attaches, by=1.2)


def test_chameleon_loses_where_a_large_adapter_is_asked_for_no_more() -> None:
    """Its size holds a slot, and the two that are asked for share the other."""
    setting = adapters_asked((20, 20, 20, *(21, 22) * 6), large=(20,))
    loses(setting, OURS, LRU, attaches, by=2.0)
