"""What a policy remembers of the order in which entries came."""

import gc

from fleet.domain import ArtifactId, Tier
from fleet.pools import Pool, Stay
from policies.retention.arrivals import Arrivals, lies_in, unmet
from tests.policies.retention.caches import laid


def test_entries_stay_in_the_order_in_which_they_came_whatever_is_used() -> None:
    pool, arrivals = Pool(Tier.DRAM, 10), Arrivals()
    first, second = laid(pool, 1, 1)
    arrivals.used(pool, first, 1.0)
    pool.touch(first, 5.0, 1.0)
    arrivals.used(pool, first, 5.0)
    assert arrivals.of(pool, 6.0) == {first: 1.0, second: 1.0}
    assert list(arrivals.of(pool, 6.0)) == [first, second]


def test_what_came_back_came_anew() -> None:
    pool, arrivals = Pool(Tier.DRAM, 10), Arrivals()
    first, second = laid(pool, 1, 1)
    arrivals.of(pool, 0.0)
    pool.remove(first)
    assert list(arrivals.of(pool, 1.0)) == [second]
    again = pool.add(first.artifact, 1, 2.0)
    again.stay = Stay.HERE
    arrivals.used(pool, again, 2.0)
    assert arrivals.of(pool, 3.0) == {second: 0.0, again: 2.0}


def test_what_is_going_is_not_there_until_its_drop_failed() -> None:
    pool, arrivals = Pool(Tier.DRAM, 10), Arrivals()
    (only,) = laid(pool, 1)
    pool.going_out(only)
    assert not lies_in(pool, only)
    assert arrivals.of(pool, 1.0) == {}
    pool.stays(only)
    assert arrivals.of(pool, 2.0) == {only: 2.0}
    assert unmet(pool, []) == [only]


def test_no_more_is_remembered_than_twice_what_is_there() -> None:
    pool, arrivals = Pool(Tier.DRAM, 10), Arrivals()
    for number in range(100):
        entry = pool.add(ArtifactId(number), 1, 0.0)
        entry.stay = Stay.HERE
        arrivals.used(pool, entry, 0.0)
        if number > 2:
            pool.remove(pool.entries[ArtifactId(number - 2)])
    assert len(arrivals._pools[pool]) <= 2 * len(pool.entries) + 1


def test_the_memory_of_a_pool_goes_with_it() -> None:
    arrivals = Arrivals()
    arrivals.of(Pool(Tier.GPU, 2), 0.0)
    gc.collect()
    assert not len(arrivals._pools)
