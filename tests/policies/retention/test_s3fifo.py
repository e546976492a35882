"""S3-FIFO: by hand, beside the published algorithm, and in the simulator."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.retention.recency import LeastRecentlyUsed
from policies.retention.s3fifo import S3Fifo
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import SHIFT, WEAVE, Cache, asked, each_loads, missed

LRU, OURS = each_loads(LeastRecentlyUsed()), each_loads(S3Fifo())


def test_s3fifo_by_hand_what_came_once_leaves_what_was_used_again_stays() -> None:
    """1 was used twice after it came, so it moves to the main queue; 2 leaves in its place."""
    cache = Cache(S3Fifo(), 3)
    cache.hits([1, 1, 1, 2, 3, 4])
    assert cache.holds() == {1, 3, 4}
    # The ghost queue remembers 2: it comes back to the main queue, and 3 leaves the small one.
    cache.hits([2, 5, 6])
    assert cache.holds() == {1, 2, 6}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=120), st.integers(2, 6))
def test_s3fifo_is_the_published_algorithm(string: list[int], capacity: int) -> None:
    small: deque[int] = deque()
    main: deque[int] = deque()
    ghost: deque[int] = deque()
    freq: dict[int, int] = {}
    expected = []

    def evict_one() -> bool:
        if small and (len(small) >= 0.1 * capacity or not main):
            first = small.popleft()
            if freq[first] > 1:
                main.append(first)
                freq[first] = 0
                return False
            ghost.append(first)
            del freq[first]
            return True
        first = main.popleft()
        if freq[first]:
            freq[first] -= 1
            main.append(first)
            return False
        del freq[first]
        return True

    for number in string:
        expected.append(number in freq)
        if number in freq:
            freq[number] = min(3, freq[number] + 1)
            continue
        if len(freq) == capacity:
            while not evict_one():
                pass
            while len(ghost) > 0.9 * capacity:
                ghost.popleft()
        (main if number in ghost else small).append(number)
        if number in ghost:
            ghost.remove(number)
        freq[number] = 0
    assert Cache(S3Fifo(), capacity).hits(string) == expected


def test_s3fifo_remembers_no_more_than_the_pool_could_hold() -> None:
    policy = S3Fifo()
    cache = Cache(policy, 10)
    cache.hits(range(1000))
    queues = policy._queues[cache.pool]
    assert queues.ghost_bytes == sum(queues.ghost.values()) == 9
    assert len(queues.uses) == 10


def test_s3fifo_gains_where_two_models_are_asked_for_among_others_that_come_once() -> None:
    """Those that come once pass through the small queue."""
    gains(asked(WEAVE, dram=3), OURS, LRU, missed, by=1.5)


def test_s3fifo_loses_where_what_was_popular_is_asked_for_no_more() -> None:
    """What was used three times goes three more rounds in the main queue."""
    loses(asked(SHIFT, dram=3), OURS, LRU, missed, by=1.2)
