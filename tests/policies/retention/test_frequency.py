"""LFU and hyperbolic caching: by hand, beside the plain rules, and in the simulator."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import ArtifactId, Tier
from fleet.pools import Pool
from policies.retention.frequency import Hyperbolic, LeastFrequentlyUsed, priority
from policies.retention.recency import LeastRecentlyUsed
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import (
    BENCH,
    SHIFT,
    WEAVE,
    Cache,
    asked,
    each_loads,
    laid,
    mean_ttft_s,
    missed,
)

LRU = each_loads(LeastRecentlyUsed())
STRINGS = st.lists(st.integers(0, 6), max_size=60)


def test_lfu_by_hand_the_fewest_uses_leave() -> None:
    cache = Cache(LeastFrequentlyUsed(), 3)
    cache.hits([1, 1, 1, 2, 2, 3, 3, 4])  # 3 and 2 were used twice; 2 longer ago
    assert cache.holds() == {1, 3, 4}


@settings(max_examples=60, deadline=None)
@given(STRINGS, st.integers(1, 4))
def test_lfu_is_the_textbook_rule(string: list[int], capacity: int) -> None:
    uses: dict[int, int] = {}
    used_at: dict[int, int] = {}
    expected = []
    for at, number in enumerate(string):
        expected.append(number in uses)
        if number not in uses and len(uses) == capacity:
            del uses[min(uses, key=lambda n: (uses[n], used_at[n]))]
        uses[number] = uses.get(number, 0) + 1
        used_at[number] = at
    assert Cache(LeastFrequentlyUsed(), capacity).hits(string) == expected


def test_lfu_gains_where_two_models_are_asked_for_among_others_that_come_once() -> None:
    """Between two uses of a popular model three others pass: LRU has room for two of them."""
    gains(asked(WEAVE, dram=3), each_loads(LeastFrequentlyUsed()), LRU, missed, by=1.5)


def test_lfu_loses_where_what_was_popular_is_asked_for_no_more() -> None:
    """Its count never ages: three models take turns on the one place that is left."""
    loses(asked(SHIFT, dram=3), each_loads(LeastFrequentlyUsed()), LRU, missed, by=2.0)


def test_hyperbolic_by_hand_uses_for_each_second_since_it_came() -> None:
    """At 10 s: 1 came at 1 s and was used 3 times, 3 / 9; 2 came at 8 s, used once, 1 / 2."""
    cache = Cache(Hyperbolic(), 2)
    cache.hits([1, 1, 1])
    cache.now = 7.0
    cache.use(2)
    ages = {int(a): 10.0 - at for a, at in ((1, 1.0), (2, 8.0))}
    entries = {int(a): e for a, e in cache.pool.entries.items()}
    values = {n: priority(entries[n], ages[n]) for n in ages}
    assert values == pytest.approx({1: 3 / 9, 2: 1 / 2})
    cache.now = 9.0
    cache.use(3)
    assert cache.holds() == {2, 3}


@settings(max_examples=60, deadline=None)
@given(STRINGS, st.lists(st.integers(1, 4), min_size=7, max_size=7))
def test_hyperbolic_is_the_published_rule_in_a_small_pool(
    string: list[int], sizes: list[int]
) -> None:
    uses: dict[int, int] = {}
    came: dict[int, int] = {}
    used_at: dict[int, int] = {}
    cache = Cache(Hyperbolic(), 8)

    def value(number: int) -> tuple[float, int]:
        cost_s = 1.0 + number % 3
        return uses[number] * cost_s / sizes[number] / (now - came[number]), used_at[number]

    for now, number in enumerate(string, start=1):
        hit = number in uses
        while not hit and sum(sizes[n] for n in uses) + sizes[number] > 8:
            least = min(uses, key=value)
            del uses[least], came[least]
        came.setdefault(number, now)
        uses[number] = uses.get(number, 0) + 1
        used_at[number] = now
        assert cache.use(number, sizes[number], 1.0 + number % 3) == hit
        assert cache.holds() == uses.keys()


def test_hyperbolic_looks_at_a_sample_of_a_large_pool() -> None:
    """All but one are equally bad; a sample of two finds the good one bad only with itself."""
    pool = Pool(Tier.DRAM, 100)
    entries = laid(pool, *[1] * 100)
    for entry in entries:
        pool.touch(entry, 0.0, 1.0)
    pool.touch(entries[0], 0.0, 1000.0)
    BENCH.at(0.0)
    policy = Hyperbolic(sample=2)
    assert policy.victims(pool, 0, BENCH.view) == []
    seen = set()
    for _ in range(20):
        (victim,) = policy.victims(pool, 1, BENCH.at(5.0).view) or ()
        seen.add(victim.artifact)
    assert len(seen) > 5
    assert ArtifactId(0) not in seen


def test_hyperbolic_gains_where_one_model_is_dear_to_load() -> None:
    """A loop over three models with room for two: LRU never hits, it keeps the dear one."""
    ours = each_loads(Hyperbolic())
    gains(asked((1, 2, 3) * 6, 2, dear=1), ours, LRU, mean_ttft_s, by=1.2)


def test_hyperbolic_loses_where_what_was_popular_is_asked_for_no_more() -> None:
    """Its rate falls only as its age grows, and until then it has the place of one in turn."""
    loses(asked(SHIFT, dram=3), each_loads(Hyperbolic()), LRU, missed, by=1.2)
