"""What holds for every retention policy: whom it may name, and what it remembers."""

import gc
from types import FunctionType, ModuleType
from weakref import ReferenceType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import ArtifactId, Tier
from fleet.policy import Retention
from fleet.pools import Pool, Stay
from policies.library import CATALOG
from policies.retention.arc import AdaptiveReplacement
from policies.retention.first_in import FirstInFirstOut, LoraxCycle
from policies.retention.foresight import Belady
from policies.retention.frequency import LeastFrequentlyUsed
from policies.retention.greedy_dual import Landlord
from policies.retention.recency import LeastRecentlyUsed
from policies.retention.s3fifo import S3Fifo
from policies.retention.sieve import Sieve
from tests.policies.retention.caches import BENCH, EVERY, VIEW, Cache, laid

Made = type[Retention]
NOT_STATE = (type, FunctionType, ModuleType, ReferenceType, Pool, str, int, float)
STEPS = st.lists(
    st.tuples(st.sampled_from(["use", "drop", "fail", "pin"]), st.integers(0, 9)), max_size=60
)


def test_every_catalogued_policy_is_tried_here() -> None:
    assert set(CATALOG["retention"].values()) == set(EVERY)


@pytest.mark.parametrize("policy", EVERY)
@settings(max_examples=40, deadline=None)
@given(steps=STEPS, sizes=st.lists(st.integers(1, 5), min_size=10, max_size=10))
def test_victims_may_leave_are_distinct_and_enough(
    policy: Made, steps: list[tuple[str, int]], sizes: list[int]
) -> None:
    """Copies come, are used, pinned and dropped behind the policy's back; some drops fail."""
    asked = policy()
    pool, now = Pool(Tier.DRAM, 12), 0.0
    for step, number in steps:
        now += 1.0
        view, artifact = BENCH.at(now).view, ArtifactId(number)
        entry = pool.entries.get(artifact)
        need = sizes[number] - pool.free if entry is None else 0
        if need > 0:
            able = list(pool.evictable())
            victims = asked.victims(pool, need, view)
            assert (victims is None) == (sum(e.size for e in able) < need)
            if victims is None:
                continue
            assert len(set(victims)) == len(victims)
            assert set(victims) <= set(able)
            assert sum(v.size for v in victims) >= need
            for victim in victims:
                pool.going_out(victim)
            for victim in victims:
                if step == "fail":
                    pool.stays(victim)
                else:
                    pool.remove(victim)
        if entry is None and pool.free >= sizes[number]:
            entry = pool.add(artifact, sizes[number], now)
            entry.stay = Stay.HERE
        if entry is None:
            continue
        if step == "drop" and not entry.pins:
            pool.remove(entry)
            continue
        pool.touch(entry, now, 1.0 + number)
        asked.used(pool, entry, view)
        entry.pins = int(step == "pin")


def zipf(drift: int) -> list[int]:
    """800 uses of 40 artifacts, Zipf 1.4; with drift, others are popular after each hundred."""
    draws = np.random.default_rng(1).zipf(1.4, 800)
    return [int(min(n, 40) + drift * (i // 100)) % 40 for i, n in enumerate(draws)]


def test_they_rank_on_skewed_strings_as_published() -> None:
    """Counts win while popularity stays; where it moves they lose to LRU, which the queues beat."""
    hits = {
        drift: {p: sum(Cache(p(), 6).hits(zipf(drift))) for p in EVERY if p is not Belady}
        for drift in (0, 3)
    }
    still, moving = hits[0], hits[3]
    for better in (LeastFrequentlyUsed, S3Fifo, Sieve, AdaptiveReplacement):
        assert still[better] > still[LeastRecentlyUsed] > still[FirstInFirstOut]
    for better in (S3Fifo, Sieve, AdaptiveReplacement):
        assert moving[better] > moving[LeastRecentlyUsed] > moving[LeastFrequentlyUsed]
    assert still[Landlord] == still[LeastRecentlyUsed]  # of equal sizes and costs
    assert still[LoraxCycle] == still[FirstInFirstOut]


@pytest.mark.parametrize("policy", EVERY)
def test_what_is_pinned_or_on_its_way_is_never_a_victim(policy: Made) -> None:
    pool = Pool(Tier.DRAM, 3)
    here, pinned = laid(pool, 1, 1)
    pool.add(ArtifactId(2), 1, 0.0)
    pinned.pins = 1
    assert policy().victims(pool, 1, VIEW) == [here]
    assert policy().victims(pool, 2, VIEW) is None


@pytest.mark.parametrize("policy", EVERY)
def test_a_slot_counts_one_and_of_equals_one_leaves(policy: Made) -> None:
    made, pool = policy(), Pool(Tier.GPU, 2)
    for number, entry in enumerate(laid(pool, 1, 1)):
        pool.touch(entry, float(number), 0.5)
        made.used(pool, entry, BENCH.at(float(number)).view)
    chosen = made.victims(pool, 1, BENCH.at(1.0).view)
    assert chosen is not None
    assert len(chosen) == 1


@pytest.mark.parametrize("policy", EVERY)
def test_a_policy_forgets_what_is_long_gone(policy: Made) -> None:
    """What it holds for a pool of 8 after 2,000 artifacts is no more than after 100."""

    def held(uses: int) -> int:
        made = policy()
        cache = Cache(made, 8)
        cache.hits(range(uses))
        gc.collect()
        return reachable(made)

    assert held(2000) <= held(100)


def reachable(made: Retention) -> int:
    """How much its state leads to, in objects and places; the pool and code left out."""
    seen: set[int] = set()
    places = 0
    left: list[object] = list(vars(made).values())
    while left:
        one = left.pop()
        if id(one) not in seen and not isinstance(one, NOT_STATE):
            seen.add(id(one))
            places += len(one) if isinstance(one, dict | list | set | tuple) else 1
            left += gc.get_referents(one)
    return places


def test_belady_is_the_one_that_is_told_the_future() -> None:
    assert [p for p in EVERY if hasattr(p, "reveal")] == [Belady]
