"""A run's misses beside the bounds, in misses, bytes and seconds."""

import pytest

from traces.bounds.accesses import Pool
from traces.bounds.cache_bounds import cache_gaps


def pool(capacity: int, objects: str, hits: str, sizes: dict[str, int]) -> Pool:
    """Accesses to artifacts named by letters, hits marked with a star, a byte a second."""
    made = Pool("dram", capacity, 2.0)
    for order, (name, mark) in enumerate(zip(objects, hits, strict=True)):
        made.orders.append(order)
        made.objects.append(ord(name))
        made.sizes.append(sizes[name])
        made.costs_bytes.append(sizes[name])
        made.hits.append(mark == "*")
    return made


def test_lru_in_a_loop_beside_what_could_be() -> None:
    """Three of size 2 in room for two: all miss; with foresight half the time."""
    loop = pool(4, "abcabcabcabc", "............", {"a": 2, "b": 2, "c": 2})
    (gap,) = cache_gaps([loop])
    assert (gap.tier, gap.caches, gap.accesses) == ("node DRAM", 1, 12)
    assert (gap.happened.misses, gap.happened.bytes, gap.happened.seconds) == (12, 24.0, 12.0)
    assert (gap.belady.misses, gap.belady.saved_misses_pct) == (6, 50.0)
    assert gap.least.misses == 6  # 5.33, and misses are whole
    assert gap.least.bytes == pytest.approx(2 * (12 - 20 / 3))
    assert gap.least.saved_bytes_pct == pytest.approx(100 * 20 / 36)


def test_tiers_are_summed_and_then_all_of_them() -> None:
    first = pool(4, "aa", ".*", {"a": 2})
    second = pool(4, "bb", "..", {"b": 2})
    slots = Pool("slots", 1, 4.0, set(), [0, 1], [7, 7], [1, 1], [100, 100], [False, True])
    rows = cache_gaps([slots, first, second])
    assert [(row.tier, row.caches, row.happened.misses) for row in rows] == [
        ("node DRAM", 2, 3),
        ("adapter slots", 1, 1),
        ("all", 3, 4),
    ]
    assert rows[-1].least.misses == 3
    assert rows[-1].happened.seconds == pytest.approx(3 * 2 / 2 + 100 / 4)


def test_a_cache_that_nobody_asked_has_no_row_and_one_that_never_missed_no_share() -> None:
    assert cache_gaps([Pool("ssd", 10, 1.0)]) == ()
    there = pool(4, "a", "*", {"a": 2})
    there.initial.add(ord("a"))
    (gap,) = cache_gaps([there])
    assert (gap.happened.misses, gap.least.misses) == (0, 0)
    assert gap.belady.saved_misses_pct is None


def test_what_came_for_nothing_is_no_miss() -> None:
    asleep = pool(4, "aa", ".*", {"a": 2})
    asleep.costs_bytes[0] = 0
    (gap,) = cache_gaps([asleep])
    assert (gap.accesses, gap.happened.misses, gap.least.misses) == (1, 0, 0)
