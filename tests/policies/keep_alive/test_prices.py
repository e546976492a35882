"""Break-even by hand and in the simulator, for one step and for a ladder of them."""

from dataclasses import replace

import pytest

from fleet.commands import Sleep
from fleet.domain import NodeId, NodeSpec, Shard, Tier
from fleet.plans import NOTHING, UNNUMBERED
from fleet.policy import Rest
from policies.keep_alive.idle_time import FixedKeepAlive
from policies.keep_alive.prices import BreakEven, Ladder, break_even_s
from policies.retention.recency import KeepNothing
from tests.policies.bench import CARD_BYTES, Bench, model, node, part, still
from tests.policies.duels import gains, loses, replace_fields
from tests.policies.keep_alive.idling import BURSTS, EVERY_12_S, after, asked_at, bill, kept

#: One unit a card and second.
A_UNIT = 3600.0


def priced(gpus: int, price_per_s: float) -> NodeSpec:
    return replace_fields(node(0, gpus), {"price_per_s": price_per_s})


def test_break_even_by_hand_idling_until_it_has_cost_a_cold_start() -> None:
    """A load of 80 / 10 + 1 = 9 s from the remote store costs 9 for the card and 9 * 0.5 for those
    who wait: 13.5 s of a card at 1."""
    rule = BreakEven(penalty_per_s=0.5, price_per_gpu_h=A_UNIT)
    bench = Bench([node(0)], [model(0)], policy=replace(still(), retention=KeepNothing()))
    instance = bench.run(0, 0)
    assert instance is not None
    assert rule.rest(instance, bench.view) == Rest(13.5)


def test_a_part_of_a_card_costs_its_part_and_a_node_shares_its_price() -> None:
    """Half of a card at 2 a second (a node of two for 4): 1 a second. A load of 20 bytes: 3 s."""
    bench = Bench(
        [priced(2, 4.0)],
        [model(0, part(40), weight_bytes=20)],
        policy=replace(still(), retention=KeepNothing()),
    )
    instance = bench.run(0, 0)
    assert instance is not None
    assert BreakEven(penalty_per_s=0.5).rest(instance, bench.view) == Rest(3.0 * 1.5)


def test_at_twice_the_break_even_cost_nobody_does_worse() -> None:
    """Whatever the next gap, the bill is at most twice that of knowing it."""
    load_s, cards, penalty = 3.0, 0.5, 0.2
    keep_s = break_even_s(load_s, cards, cards, penalty)
    cold = load_s * (cards + penalty)
    for gap_s in (0.1, keep_s - 1e-9, keep_s + 1e-9, 100.0):
        ours = gap_s * cards if gap_s <= keep_s else keep_s * cards + cold
        assert ours <= 2.0 * min(gap_s * cards, cold) + 1e-6


def test_ladder_by_hand_each_rung_until_it_has_cost_the_step_back_up() -> None:
    """From DRAM a load takes 1 + 1 = 2 s, a wake 0.25 + 1 = 1.25 s: awake for 1.25 * 1.5 s. Asleep,
    80 bytes of DRAM at 0.1 a second, until that has cost the 0.75 s more: 0.75 * 1.5 / 0.1."""
    dram_price = 0.1 * 3600.0 / 80e-9
    rule = Ladder(penalty_per_s=0.5, price_per_gpu_h=A_UNIT, dram_price_per_gb_h=dram_price)
    bench = Bench([node(0)], [model(0)], resident=[(0, 0, Tier.DRAM)])
    instance = bench.run(0, 0)
    assert instance is not None
    assert rule.rest(instance, bench.view) == Rest(1.875, level=1)
    bench.finish(bench.begin(NOTHING.then(Sleep(UNNUMBERED, instance.id, 1), 0.0)))
    asleep = rule.rest(instance, bench.view)
    assert asleep is not None
    assert asleep.level == 0
    assert asleep.after_s == pytest.approx(11.25)


def test_a_pipeline_never_sleeps() -> None:
    bench = Bench([node(0), node(1)], [model(0, stages=2)])
    instance = bench.run_on(0, tuple(Shard(NodeId(n), (0,), CARD_BYTES) for n in (0, 1)))
    rest = Ladder().rest(instance, bench.view)
    assert rest is not None
    assert rest.level == 0


FIXED, EVEN, LADDER = kept(FixedKeepAlive(60.0)), kept(BreakEven()), kept(Ladder())
IN_BURSTS, EVERY_12 = asked_at(after(*BURSTS)), asked_at(after(*EVERY_12_S))


def test_break_even_gains_where_requests_come_in_bursts() -> None:
    """It stays warm for the 5 s inside a burst and not for the minute after it."""
    gains(IN_BURSTS, EVEN, FIXED, bill, by=1.3)


def test_break_even_loses_where_each_comes_just_after_it_gave_up() -> None:
    """Loading takes 0.6 s, so it gives up after 11 s, each time a second too soon."""
    loses(EVERY_12, EVEN, FIXED, bill, by=1.3)


def test_ladder_gains_where_requests_come_in_bursts() -> None:
    gains(IN_BURSTS, LADDER, FIXED, bill, by=1.3)
    gains(IN_BURSTS, LADDER, EVEN, bill, by=1.01)  # a wake is dearer to nobody than a load


def test_ladder_loses_where_each_comes_just_after_it_went_to_sleep() -> None:
    ours, _ = loses(EVERY_12, LADDER, FIXED, bill, by=1.3)
    assert ours.commands["Wake"] > 10
