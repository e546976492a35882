"""ARC: by hand, beside the published algorithm, and in the simulator."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.retention.arc import AdaptiveReplacement
from policies.retention.recency import LeastRecentlyUsed
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import SHIFT, WEAVE, Cache, asked, each_loads, missed

LRU, OURS = each_loads(LeastRecentlyUsed()), each_loads(AdaptiveReplacement())


def test_arc_by_hand_a_ghost_of_the_recent_moves_the_share() -> None:
    policy = AdaptiveReplacement()
    cache = Cache(policy, 2)
    cache.hits([1, 1, 2, 3])  # 1 was used again: T2; 2 leaves T1 for B1, for p is 0
    assert cache.holds() == {1, 3}
    lists = policy._lists[cache.pool]
    assert list(lists.ghosts[0].names) == [2]
    cache.use(2)  # 3 leaves; then 2 is found in B1: p = 0 + 1 * max(1, 0 / 1), and 2 goes to T2
    assert lists.most_once == 1.0
    assert {int(e.artifact) for e in lists.held[1].entries} == {1, 2}
    cache.hits([4, 5])  # T1 holds 1 = p at the second miss: T2's least recent left both times
    assert cache.holds() == {4, 5}


@dataclass
class Published:
    """Figure 4 of the paper. `late`: p moves after the replacement of the miss that moves it."""

    c: int
    late: bool
    p: float = 0.0
    t1: list[int] = field(default_factory=list)
    t2: list[int] = field(default_factory=list)
    b1: list[int] = field(default_factory=list)
    b2: list[int] = field(default_factory=list)

    def use(self, x: int) -> bool:
        if x in self.t1 or x in self.t2:
            (self.t1 if x in self.t1 else self.t2).remove(x)
            self.t2.append(x)
            return True
        if x in self.b1 or x in self.b2:
            self.ghost_hit(x)
        else:
            self.miss()
            self.t1.append(x)
        return False

    def ghost_hit(self, x: int) -> None:
        in_b2 = x in self.b2
        if self.late:
            self.replace(False)
        self.move_p(in_b2)
        if not self.late:
            self.replace(in_b2)
        (self.b2 if in_b2 else self.b1).remove(x)
        self.t2.append(x)

    def move_p(self, in_b2: bool) -> None:
        b1, b2 = len(self.b1), len(self.b2)
        if in_b2:
            self.p = max(0.0, self.p - max(1.0, b1 / b2))
        else:
            self.p = min(self.c, self.p + max(1.0, b2 / b1))

    def miss(self) -> None:
        if len(self.t1) + len(self.b1) == self.c:
            if len(self.t1) < self.c:
                self.b1.pop(0)
                self.replace(False)
            else:
                self.t1.pop(0)
        elif (total := len(self.t1) + len(self.t2) + len(self.b1) + len(self.b2)) >= self.c:
            if total == 2 * self.c:
                self.b2.pop(0)
            self.replace(False)

    def replace(self, in_b2: bool) -> None:
        if self.t1 and (len(self.t1) > self.p or (in_b2 and len(self.t1) == self.p)):
            self.b1.append(self.t1.pop(0))
        elif self.t2:
            self.b2.append(self.t2.pop(0))
        else:
            self.b1.append(self.t1.pop(0))


STRINGS = st.lists(st.integers(0, 9), max_size=150)


@settings(max_examples=100, deadline=None)
@given(STRINGS, st.integers(1, 6))
def test_arc_is_the_published_algorithm_but_for_when_p_moves(
    string: list[int], capacity: int
) -> None:
    late = Published(capacity, late=True)
    cache = Cache(AdaptiveReplacement(), capacity)
    assert cache.hits(string) == [late.use(n) for n in string]


def test_moving_p_late_costs_few_hits() -> None:
    """On 20 skewed strings, within 3 % of the hits of the algorithm as published."""
    hits = {True: 0, False: 0}
    for seed in range(20):
        rng = random.Random(seed)
        string = [min(39, int(rng.paretovariate(0.8))) for _ in range(500)]
        for late in hits:
            published = Published(10, late)
            hits[late] += sum(published.use(n) for n in string)
    assert abs(hits[True] - hits[False]) < 0.03 * hits[False]


@settings(max_examples=40, deadline=None)
@given(STRINGS, st.lists(st.integers(1, 4), min_size=10, max_size=10))
def test_no_more_is_remembered_than_arc_allows(string: list[int], sizes: list[int]) -> None:
    policy = AdaptiveReplacement()
    cache = Cache(policy, 8)
    for number in string:
        cache.use(number, sizes[number])
        lists = policy._lists[cache.pool]
        once, twice = (g.size for g in lists.ghosts)
        for held in lists.held:
            assert held.size == sum(e.size for e in held.entries)
        assert lists.held[0].size + once <= 8
        assert sum(h.size for h in lists.held) + once + twice <= 16
        assert 0.0 <= lists.most_once <= 8.0


def test_arc_gains_where_two_models_are_asked_for_among_others_that_come_once() -> None:
    """What was used again is in T2, and those that come once push each other out of T1."""
    gains(asked(WEAVE, dram=3), OURS, LRU, missed, by=1.5)


def test_arc_loses_where_what_was_popular_is_asked_for_no_more() -> None:
    """T2 keeps it until misses in B1 have moved p."""
    loses(asked(SHIFT, dram=3), OURS, LRU, missed, by=1.2)
