"""SIEVE: by hand, beside the published algorithm, and in the simulator."""

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.retention.recency import LeastRecentlyUsed
from policies.retention.sieve import Sieve
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import SHIFT, WEAVE, Cache, asked, each_loads, missed

LRU, OURS = each_loads(LeastRecentlyUsed()), each_loads(Sieve())


def test_sieve_by_hand_the_hand_clears_what_it_passes_and_stays_where_it_was() -> None:
    cache = Cache(Sieve(), 3)
    cache.hits([1, 2, 3, 1, 2, 4])  # 1 and 2 are passed, 3 leaves; the hand goes back to the oldest
    assert cache.holds() == {1, 2, 4}
    cache.hits([2, 5])  # 1 was not used since it was passed
    assert cache.holds() == {2, 4, 5}


class Linked:
    """The paper's algorithm with a list whose last is the newest."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.order: list[int] = []
        self.visited: dict[int, bool] = {}
        self.hand: int | None = None  # the entry it points at; None is the oldest

    def use(self, number: int) -> bool:
        if number in self.visited:
            self.visited[number] = True
            return True
        if len(self.order) == self.capacity:
            self.evict()
        self.order.append(number)
        self.visited[number] = False
        return False

    def evict(self) -> None:
        at = self.order[0] if self.hand is None else self.hand
        while self.visited[at]:
            self.visited[at] = False
            newer = self.newer(at)
            at = self.order[0] if newer is None else newer
        self.hand = self.newer(at)
        self.order.remove(at)
        del self.visited[at]

    def newer(self, number: int) -> int | None:
        after = self.order.index(number) + 1
        return self.order[after] if after < len(self.order) else None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=120), st.integers(1, 6))
def test_sieve_is_the_published_algorithm(string: list[int], capacity: int) -> None:
    linked = Linked(capacity)
    assert Cache(Sieve(), capacity).hits(string) == [linked.use(n) for n in string]


def test_the_hand_keeps_its_place_when_entries_leave_by_another_way() -> None:
    cache = Cache(Sieve(), 4)
    cache.hits([1, 2, 3, 4, 1, 2, 5])  # 1 and 2 passed, 3 left: the hand is at 4
    assert cache.holds() == {1, 2, 4, 5}
    gone = next(e for e in cache.pool.entries.values() if e.artifact == 1)
    cache.pool.remove(gone)
    cache.hits([6, 7])  # there is room for 6; then 4 leaves, not 2, which is behind the hand
    assert cache.holds() == {2, 5, 6, 7}


def test_sieve_gains_where_two_models_are_asked_for_among_others_that_come_once() -> None:
    gains(asked(WEAVE, dram=3), OURS, LRU, missed, by=1.2)


def test_sieve_loses_where_what_was_popular_is_asked_for_no_more() -> None:
    """The hand must first pass what was used before; meanwhile it drops what is in turn."""
    loses(asked(SHIFT, dram=3), OURS, LRU, missed, by=1.1)
