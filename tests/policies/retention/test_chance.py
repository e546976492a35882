"""Anything may leave, and the seed decides what."""

from collections import Counter

from fleet.domain import Tier
from fleet.pools import Pool
from policies.retention.chance import RandomRetention
from policies.retention.recency import LeastRecentlyUsed
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import HOT, asked, each_loads, laid, missed

LRU, CHANCE = each_loads(LeastRecentlyUsed()), each_loads(RandomRetention())


def test_random_by_hand_each_has_the_same_chance_and_a_seed_repeats() -> None:
    """600 draws of one of 3: 200 each, give or take four standard deviations of 11.5."""
    pool = Pool(Tier.DRAM, 4)
    entries = laid(pool, 1, 1, 1, 1)
    entries[3].pins = 1
    drawn = []
    for _ in range(2):
        view = Bench([node(0)], [model(0)], seed=3).view
        drawn.append([(RandomRetention().victims(pool, 1, view) or ())[0] for _ in range(600)])
    assert drawn[0] == drawn[1]
    counts = Counter(int(e.artifact) for e in drawn[0])
    assert counts.keys() == {0, 1, 2}
    assert all(abs(n - 200) < 46 for n in counts.values())


def test_random_gains_in_a_loop_larger_than_the_cache() -> None:
    """LRU drops each model just before it is asked for again; chance sometimes does not."""
    gains(asked((1, 2, 3, 4) * 5, dram=3), CHANCE, LRU, missed, by=1.3)


def test_random_loses_where_one_model_is_asked_for_every_other_time() -> None:
    loses(asked(HOT, dram=2), CHANCE, LRU, missed, by=1.2)
