"""What leaves a cache, by hand and beside a plain simulation of the published rule."""

from dataclasses import replace
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import ArtifactId, NodeId, Tier
from fleet.pools import Entry, Pool, Stay
from policies.retention.greedy_dual import GreedyDualSizeFrequency
from policies.retention.recency import KeepNothing, LeastRecentlyUsed
from policies.retention.victims import take
from tests.policies.bench import Bench, model, node, still

GIB = 2**30
VIEW = Bench([node(0)], [model(0)]).view
POLICIES = [LeastRecentlyUsed(), GreedyDualSizeFrequency(), KeepNothing()]


class Cache:
    """A pool in front of a retention policy: what a controller does, without the controller."""

    def __init__(self, policy: LeastRecentlyUsed | GreedyDualSizeFrequency, capacity: int) -> None:
        self.pool = Pool(Tier.DRAM, capacity)
        self.policy = policy
        self.now = 0.0

    def use(self, number: int, size: int, cost_s: float) -> bool:
        """Whether it was there. If not it comes in, and others leave for it."""
        self.now += 1.0
        artifact = ArtifactId(number)
        hit = artifact in self.pool
        if not hit:
            self._make_room(size)
            self.pool.add(artifact, size, self.now).stay = Stay.HERE
        entry = self.pool.entries[artifact]
        self.pool.touch(entry, self.now, cost_s)
        self.policy.used(self.pool, entry, VIEW)
        return hit

    def _make_room(self, size: int) -> None:
        if size > self.pool.free:
            victims = self.policy.victims(self.pool, size - self.pool.free, VIEW)
            assert victims is not None
            for victim in victims:
                self.pool.remove(victim)

    def holds(self) -> set[int]:
        return {int(artifact) for artifact in self.pool.entries}


def test_the_least_recently_used_leave_until_there_is_room() -> None:
    cache = Cache(LeastRecentlyUsed(), 6)
    for number in (1, 2, 3, 1):
        cache.use(number, 2, 1.0)
    cache.use(4, 3, 1.0)
    assert cache.holds() == {1, 4}


def test_use_counts_not_only_loading() -> None:
    """Released ServerlessLLM stamps an entry only when it is loaded: first in, first out."""
    cache = Cache(LeastRecentlyUsed(), 2)
    cache.use(1, 1, 1.0)
    cache.use(2, 1, 1.0)
    cache.use(1, 1, 1.0)
    cache.use(3, 1, 1.0)
    assert cache.holds() == {1, 3}


def test_gdsf_keeps_what_is_dear_small_and_often_used() -> None:
    """H = L + uses * cost / GiB: 1 -> 1 * 8 / 4 = 2, 2 -> 3 * 1 / 2 = 1.5, 3 -> 1 * 6 / 2 = 3."""
    cache = Cache(GreedyDualSizeFrequency(), 8 * GIB)
    cache.use(1, 4 * GIB, 8.0)
    for _ in range(3):
        cache.use(2, 2 * GIB, 1.0)
    cache.use(3, 2 * GIB, 6.0)
    scores = {int(a): e.score for a, e in cache.pool.entries.items()}
    assert scores == pytest.approx({1: 2.0, 2: 1.5, 3: 3.0})
    cache.use(4, 2 * GIB, 1.0)  # L is 1.5 from here on
    assert cache.holds() == {1, 3, 4}
    assert isclose(cache.pool.entries[ArtifactId(4)].score, 1.5 + 0.5)


def test_lru_and_gdsf_part_over_an_old_entry_that_is_dear() -> None:
    kept = {}
    for policy in (LeastRecentlyUsed(), GreedyDualSizeFrequency()):
        cache = Cache(policy, 2 * GIB)
        cache.use(1, GIB, 50.0)
        cache.use(2, GIB, 1.0)
        cache.use(3, GIB, 1.0)
        kept[type(policy)] = cache.holds()
    assert kept == {LeastRecentlyUsed: {2, 3}, GreedyDualSizeFrequency: {1, 3}}


def test_what_is_not_used_any_more_leaves_in_the_end() -> None:
    """L rises with every eviction, past the score of an entry that was dear once."""
    cache = Cache(GreedyDualSizeFrequency(), 2 * GIB)
    cache.use(1, GIB, 5.0)
    for number in range(2, 9):
        cache.use(number, GIB, 1.0)
    assert 1 not in cache.holds()


def test_each_pool_has_a_clock_of_its_own() -> None:
    policy = GreedyDualSizeFrequency()
    busy, calm = Cache(policy, GIB), Cache(policy, GIB)
    for number in range(5):
        busy.use(number, GIB, 1.0)
    calm.use(0, GIB, 1.0)
    assert isclose(busy.pool.entries[ArtifactId(4)].score, 5.0)
    assert isclose(calm.pool.entries[ArtifactId(0)].score, 1.0)


references = st.lists(st.integers(0, 7), max_size=60)


@settings(max_examples=60, deadline=None)
@given(references, st.lists(st.integers(1, 4), min_size=8, max_size=8))
def test_gdsf_follows_the_published_rule_on_any_reference_string(
    string: list[int], sizes: list[int]
) -> None:
    """The rule in ten lines: a score for each, drop the least, and the clock goes to it."""
    capacity, clock = 8, 0.0
    score: dict[int, float] = {}
    uses: dict[int, int] = {}
    used_at: dict[int, int] = {}
    cache = Cache(GreedyDualSizeFrequency(), capacity * GIB)
    for at, number in enumerate(string):
        cost_s = float(1 + number % 3)
        hit = number in score
        while not hit and sum(sizes[n] for n in score) + sizes[number] > capacity:
            least = min(score, key=lambda n: (score[n], used_at[n]))
            clock = score.pop(least)
            del uses[least]
        uses[number] = uses.get(number, 0) + 1
        used_at[number] = at
        score[number] = clock + uses[number] * cost_s / sizes[number]
        assert cache.use(number, sizes[number] * GIB, cost_s) == hit
        assert cache.holds() == score.keys()
        assert {int(a): e.score for a, e in cache.pool.entries.items()} == pytest.approx(score)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_pinned_or_on_its_way_is_never_a_victim(policy: LeastRecentlyUsed) -> None:
    pool = Pool(Tier.DRAM, 3)
    here, pinned = (pool.add(ArtifactId(n), 1, 0.0) for n in range(2))
    pool.add(ArtifactId(2), 1, 0.0)
    here.stay = pinned.stay = Stay.HERE
    pinned.pins = 1
    assert policy.victims(pool, 1, VIEW) == [here]
    assert policy.victims(pool, 2, VIEW) is None


@pytest.mark.parametrize("policy", POLICIES)
def test_an_adapter_slot_counts_one(policy: LeastRecentlyUsed) -> None:
    pool = Pool(Tier.GPU, 2)
    for number in range(2):
        entry = pool.add(ArtifactId(number), 1, 0.0)
        entry.stay = Stay.HERE
        pool.touch(entry, float(number), 0.5)
        policy.used(pool, entry, VIEW)
    assert [int(e.artifact) for e in policy.victims(pool, 1, VIEW) or ()] == [0]


def test_copies_stay_in_the_named_tiers() -> None:
    artifact = ArtifactId(0)
    ssd_only = LeastRecentlyUsed(("ssd",))
    assert ssd_only.keeps(artifact, Tier.SSD, VIEW)
    assert not ssd_only.keeps(artifact, Tier.DRAM, VIEW)
    assert GreedyDualSizeFrequency().keeps(artifact, Tier.DRAM, VIEW)
    assert not any(KeepNothing().keeps(artifact, t, VIEW) for t in (Tier.SSD, Tier.DRAM))


def test_a_cluster_that_keeps_nothing_loads_from_the_remote_store_every_time() -> None:

    bench = Bench([node(0)], [model(0)], policy=replace(still(), retention=KeepNothing()))
    bench.run(0, 0)
    assert bench.view.cached(ArtifactId(0)) == {}
    kept = Bench([node(0)], [model(0)])
    kept.run(0, 0)
    assert kept.view.cached(ArtifactId(0)) == {NodeId(0): Tier.DRAM}


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(0, 20))
def test_as_few_as_needed_are_taken_in_their_order(sizes: list[int], need: int) -> None:
    pool = Pool(Tier.SSD, 100)
    entries: list[Entry] = [pool.add(ArtifactId(i), s, 0.0) for i, s in enumerate(sizes)]
    taken = take(entries, need)
    if taken is None:
        assert sum(sizes) < need
    else:
        assert list(taken) == entries[: len(taken)]
        assert sum(e.size for e in taken) >= need
        assert sum(e.size for e in taken[:-1]) < need or not taken
