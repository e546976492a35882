"""Belady's bound: by hand, against every policy on one cache, and where it does not reach."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId, Tier
from fleet.policy import Oracle
from fleet.pools import Pool
from policies.retention.foresight import Belady, needed
from policies.retention.recency import LeastRecentlyUsed
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import (
    BENCH,
    EVERY,
    VIEW,
    Cache,
    asked,
    each_loads,
    laid,
    mean_ttft_s,
    missed,
)

LRU = each_loads(LeastRecentlyUsed())


def told(string: list[int]) -> Belady:
    """The k-th use of a `Cache` is at second k + 1."""
    requests = [
        Request(RequestId(i), ModelId(ArtifactId(n)), None, i + 1.0, 10, 10)
        for i, n in enumerate(string)
    ]
    policy = Belady()
    policy.reveal(requests)
    return policy


def test_belady_by_hand_what_is_asked_for_again_latest_leaves() -> None:
    string = [1, 2, 3, 4, 1, 2, 3]
    cache = Cache(told(string), 3)
    cache.hits(string[:4])  # next uses: 1 at 5, 2 at 6, 3 at 7
    assert cache.holds() == {1, 2, 4}
    cache.hits(string[4:])
    assert cache.holds() & {3} == {3}
    assert isinstance(Belady(), Oracle)


def test_victims_that_a_larger_one_makes_superfluous_stay() -> None:
    """3 bytes are needed: the farthest has 1, the next 2, the next 4, which is enough by itself."""
    pool = Pool(Tier.DRAM, 20)
    far, middle, near = laid(pool, 1, 1, 4)
    assert needed([far, middle, near], 4) == [near]
    assert needed([far, middle, near], 5) == [far, near]
    assert needed([far, middle, near], 6) == [far, middle, near]


def test_told_nothing_it_is_lru() -> None:
    string = [1, 2, 3, 1, 4, 5, 1, 2]
    assert Cache(Belady(), 3).hits(string) == Cache(LeastRecentlyUsed(), 3).hits(string)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 4))
def test_no_policy_hits_more_on_one_cache_of_equal_sizes(string: list[int], capacity: int) -> None:
    best = sum(Cache(told(string), capacity).hits(string))
    for policy in EVERY:
        if policy is not Belady:
            assert sum(Cache(policy(), capacity).hits(string)) <= best


def test_a_request_uses_its_model_and_its_adapter() -> None:
    policy = Belady()
    model_id, lora = ModelId(ArtifactId(1)), AdapterId(ArtifactId(2))
    policy.reveal([Request(RequestId(0), model_id, lora, 9.0, 10, 10)])
    pool = Pool(Tier.DRAM, 10)
    entries = laid(pool, 1, 1, 1)
    assert policy.victims(pool, 1, BENCH.at(1.0).view) == entries[:1]
    assert policy.victims(pool, 3, VIEW) == entries


def test_belady_gains_in_a_loop_larger_than_the_cache() -> None:
    gains(asked((1, 2, 3, 4) * 5, dram=3), each_loads(Belady()), LRU, missed, by=1.5)


def test_belady_loses_where_one_tier_covers_another() -> None:
    """Model 1 is always in DRAM, so its copy on the SSD is never read; but it is asked for soonest,
    so the oracle keeps it there, and the others come from the remote store for ever."""
    string = (1, 2, 1, 3) * 6
    loses(asked(string, dram=2, ssd=2), each_loads(Belady()), LRU, mean_ttft_s, by=1.2)
