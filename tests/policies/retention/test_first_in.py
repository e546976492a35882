"""First in, first out, and LoRAX's turns: by hand and in the simulator."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import ArtifactId, Tier
from fleet.pools import Pool, Stay
from policies.retention.first_in import FirstInFirstOut, LoraxCycle
from policies.retention.recency import LeastRecentlyUsed
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import gains, loses
from tests.policies.retention.caches import (
    HOT,
    TWICE,
    VIEW,
    Cache,
    adapters_asked,
    asked,
    attaches,
    each_loads,
    laid,
    missed,
    slots,
)

LRU = LeastRecentlyUsed()


def test_fifo_by_hand_use_renews_nothing() -> None:
    """As released ServerlessLLM: 1 came first, so it leaves, though it was used last."""
    cache = Cache(FirstInFirstOut(), 2)
    assert cache.hits([1, 2, 1, 3]) == [False, False, True, False]
    assert cache.holds() == {2, 3}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 4))
def test_fifo_is_the_textbook_rule(string: list[int], capacity: int) -> None:
    queue: list[int] = []
    expected = []
    for number in string:
        expected.append(number in queue)
        queue = queue if number in queue else [*queue, number][-capacity:]
    assert Cache(FirstInFirstOut(), capacity).hits(string) == expected


def test_fifo_gains_where_the_last_use_is_the_last() -> None:
    """Each model is used twice with a newcomer in between; LRU drops what is still to be used."""
    gains(asked(TWICE, dram=2), each_loads(FirstInFirstOut()), each_loads(LRU), missed, by=1.5)


def test_fifo_loses_where_one_model_is_asked_for_every_other_time() -> None:
    loses(asked(HOT, dram=2), each_loads(FirstInFirstOut()), each_loads(LRU), missed, by=1.2)


def slots_of(policy: LoraxCycle, bench: Bench, came_at: dict[int, float]) -> Pool:
    pool = Pool(Tier.GPU, len(came_at))
    for number, at in came_at.items():
        entry = pool.add(ArtifactId(number), 1, at)
        entry.stay = Stay.HERE
        policy.used(pool, entry, bench.at(at).view)
    return pool


def test_lorax_cycle_by_hand_the_idle_go_first_then_whose_turn_is_over() -> None:
    bench = Bench([node(0)], [model(0, adapters=4)], adapters=[adapter(n) for n in range(10, 14)])
    policy = LoraxCycle()
    came_at = {10: 0.0, 11: 1.0, 12: 9.0, 13: 9.5}
    pool = slots_of(policy, bench, came_at)
    for number in (10, 11, 12):
        bench.at(9.5).ask(0, adapter=number)
    order = [int(e.artifact) for e in policy.victims(pool, 4, bench.at(10.0).view) or ()]
    assert order == [13, 10, 11, 12]  # nobody waits for 13; 12 is in its cycle
    order = [int(e.artifact) for e in policy.victims(pool, 3, bench.at(9.9).view) or ()]
    assert order == [13, 10, 11]


def test_lorax_cycle_gains_where_the_last_use_is_the_last() -> None:
    """Turns go by when an adapter came, so the one that has had its two uses leaves."""
    setting = adapters_asked([n + 20 for n in TWICE])
    gains(setting, slots(LoraxCycle()), slots(LRU), attaches, by=1.5)


def test_lorax_cycle_loses_where_one_adapter_is_asked_for_every_other_time() -> None:
    """It has had its turn, whoever asks for it."""
    setting = adapters_asked([n + 20 for n in HOT])
    loses(setting, slots(LoraxCycle()), slots(LRU), attaches, by=1.2)


def test_on_other_tiers_turns_are_first_in_first_out() -> None:
    pool = Pool(Tier.DRAM, 3)
    entries = laid(pool, 1, 1, 1)
    assert LoraxCycle().victims(pool, 2, VIEW) == entries[:2]
