"""GDSF and Landlord: by hand, beside the published rules, and in the simulator."""

from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import ArtifactId
from policies.retention.greedy_dual import GreedyDualSizeFrequency, Landlord
from policies.retention.recency import LeastRecentlyUsed
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import Cache, asked, each_loads, mean_ttft_s

GIB = 2**30
LRU = each_loads(LeastRecentlyUsed())


def test_gdsf_by_hand_keeps_what_is_dear_small_and_often_used() -> None:
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


def test_landlord_by_hand_the_first_to_be_broke_leaves() -> None:
    """Credits 8, 3 and 6 for 4, 2 and 2 GiB: the least per GiB is 1.5, of the second."""
    cache = Cache(Landlord(), 8 * GIB)
    cache.use(1, 4 * GIB, 8.0)
    cache.use(2, 2 * GIB, 3.0)
    cache.use(3, 2 * GIB, 6.0)
    cache.use(4, 2 * GIB, 1.0)
    assert cache.holds() == {1, 3, 4}
    # All paid 1.5 a GiB: 1 has 2 left (0.5 a GiB), 3 has 3 (1.5), 4 came after it with 1 (0.5).
    cache.use(1, 4 * GIB, 8.0)  # back to 8: 2 a GiB
    cache.use(5, 2 * GIB, 1.0)
    assert cache.holds() == {1, 3, 5}


@settings(max_examples=60, deadline=None)
@given(references, st.lists(st.sampled_from([1, 2, 4]), min_size=8, max_size=8))
def test_landlord_follows_the_published_rule_on_any_reference_string(
    string: list[int], sizes: list[int]
) -> None:
    """Young's loop as written: everyone pays for its size until somebody has nothing left.

    Sizes are powers of two, so that credit a unit is exact and ties are ties in both.
    """
    capacity = 8
    credit: dict[int, float] = {}
    used_at: dict[int, int] = {}
    cache = Cache(Landlord(), capacity * GIB)
    for at, number in enumerate(string):
        cost_s = float(1 + number % 3)
        hit = number in credit
        while not hit and sum(sizes[n] for n in credit) + sizes[number] > capacity:
            delta = min(credit[n] / sizes[n] for n in credit)
            broke = min(credit, key=lambda n: (round(credit[n] / sizes[n], 9), used_at[n]))
            for n in credit:
                credit[n] -= delta * sizes[n]
            del credit[broke]
        credit[number] = cost_s
        used_at[number] = at
        assert cache.use(number, sizes[number] * GIB, cost_s) == hit
        assert cache.holds() == credit.keys()


def test_landlord_without_refreshing_a_use_earns_nothing() -> None:
    """3 puts out 1, and 2 has nothing left; only with refreshing does its use save it from 4."""
    left = {}
    for refresh in (0.0, 1.0):
        cache = Cache(Landlord(refresh=refresh), 2 * GIB)
        for number in (1, 2, 3, 2, 4):
            cache.use(number, GIB, 1.0)
        left[refresh] = cache.holds()
    assert left == {0.0: {3, 4}, 1.0: {2, 4}}


# A dear model comes from the remote store for 12 s, the others mostly from the SSD for 3 s.

DEAR_IN_A_LOOP = (1, 2, 3) * 6
DEAR_AT_FIRST = (1, 1, 1, *(2, 3) * 8)


def test_gdsf_gains_where_one_model_is_dear_to_load() -> None:
    """A loop over three models with room for two: LRU never hits, it keeps the dear one."""
    ours = each_loads(GreedyDualSizeFrequency())
    gains(asked(DEAR_IN_A_LOOP, 2, dear=1), ours, LRU, mean_ttft_s, by=1.2)


def test_gdsf_loses_where_what_was_dear_is_asked_for_no_more() -> None:
    """Three uses of a dear model hold its place for many evictions while two others alternate."""
    ours = each_loads(GreedyDualSizeFrequency())
    loses(asked(DEAR_AT_FIRST, 2, dear=1), ours, LRU, mean_ttft_s, by=2.0)


def test_landlord_gains_where_one_model_is_dear_to_load() -> None:
    ours = each_loads(Landlord())
    gains(asked(DEAR_IN_A_LOOP, 2, dear=1), ours, LRU, mean_ttft_s, by=1.2)


def test_landlord_loses_less_than_gdsf_where_what_was_dear_is_asked_for_no_more() -> None:
    """Its credit is one load however often it was used, so its rent is soon paid up."""
    setting = asked(DEAR_AT_FIRST, 2, dear=1)
    ours, _ = loses(setting, each_loads(Landlord()), LRU, mean_ttft_s, by=1.2)
    gains(setting, each_loads(Landlord()), each_loads(GreedyDualSizeFrequency()), mean_ttft_s)
    assert ours.finished == len(DEAR_AT_FIRST)
