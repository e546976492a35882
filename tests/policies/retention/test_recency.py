"""What was used longest ago leaves, or nothing stays: by hand and in the simulator."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import ArtifactId, NodeId, Tier
from policies.retention.first_in import FirstInFirstOut
from policies.retention.recency import KeepNothing, LeastRecentlyUsed
from tests.policies.bench import Bench, model, node, still
from tests.policies.duels import Played, gains, loses
from tests.policies.retention.caches import (
    HOT,
    TWICE,
    VIEW,
    Cache,
    asked,
    each_loads,
    mean_ttft_s,
    missed,
)

LRU, FIFO = each_loads(LeastRecentlyUsed()), each_loads(FirstInFirstOut())
NOTHING = each_loads(KeepNothing())


def test_lru_by_hand_the_least_recently_used_leave_until_there_is_room() -> None:
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


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 4))
def test_lru_is_the_textbook_rule(string: list[int], capacity: int) -> None:
    order: list[int] = []
    expected = []
    for number in string:
        expected.append(number in order)
        order = [*(n for n in order if n != number), number][-capacity:]
    assert Cache(LeastRecentlyUsed(), capacity).hits(string) == expected


def test_lru_gains_where_one_model_is_asked_for_every_other_time() -> None:
    """First in, first out drops it with its age, whoever asks for it: here two times in three."""
    gains(asked(HOT, dram=2), LRU, FIFO, missed, by=1.2)


def test_lru_loses_where_the_last_use_is_the_last() -> None:
    """Each model is used twice; after the second use LRU keeps it longest, for nothing."""
    loses(asked(TWICE, dram=2), LRU, FIFO, missed, by=1.5)


def held_byte_s(played: Played) -> float:
    return sum(played.summary.cost.dram_byte_s.values())


def test_nothing_gains_the_memory_that_copies_would_hold() -> None:
    """Each model is asked for once: no copy is ever read again."""
    gains(asked(range(8), dram=4), NOTHING, LRU, held_byte_s, by=10.0)


def test_nothing_loses_the_time_to_load_again() -> None:
    loses(asked(HOT, dram=2), NOTHING, LRU, mean_ttft_s, by=2.0)


def test_nothing_by_hand_every_load_comes_from_the_remote_store() -> None:
    bench = Bench([node(0)], [model(0)], policy=replace(still(), retention=KeepNothing()))
    bench.run(0, 0)
    assert bench.view.cached(ArtifactId(0)) == {}
    kept = Bench([node(0)], [model(0)])
    kept.run(0, 0)
    assert kept.view.cached(ArtifactId(0)) == {NodeId(0): Tier.DRAM}


def test_copies_stay_in_the_named_tiers() -> None:
    artifact = ArtifactId(0)
    ssd_only = LeastRecentlyUsed(("ssd",))
    assert ssd_only.keeps(artifact, Tier.SSD, VIEW)
    assert not ssd_only.keeps(artifact, Tier.DRAM, VIEW)
    assert not any(KeepNothing().keeps(artifact, t, VIEW) for t in (Tier.SSD, Tier.DRAM))
