"""The knapsack as published and as released: its arithmetic, and what exactness adds to it."""

from math import isclose
from typing import Literal

import pytest

from fleet.commands import Migrate, StartInstance
from fleet.domain import NodeId, Tier, Whole
from fleet.policy import Clearing
from policies.room.knapsack import KnapsackVictims
from policies.room.migration import MigrateVictims
from tests.policies.bench import Bench, model, node, part
from tests.policies.duels import gains, loses
from tests.policies.room.settings import (
    IDLE_ONLY,
    beside_idle,
    crossing,
    first_token_s,
    in_the_way,
)

HERE = NodeId(0)
NEWCOMER = 9


def busy(cards: list[int], need: int, targets: list[int]) -> Bench:
    """Node 0: a victim for each entry with so many cards and one request of 100 tokens."""
    crowd = [model(i, Whole(n), slots=1) for i, n in enumerate(cards)]
    nodes = [node(0, sum(cards)), *(node(i, n) for i, n in enumerate(targets, 1))]
    bench = Bench(nodes, [*crowd, model(NEWCOMER, Whole(need))])
    for spec in crowd:
        bench.run(spec.id, 0, 1, prompt=100)
    return bench


def clear(bench: Bench, variant: Literal["paper", "code"] = "paper") -> Clearing | None:
    return KnapsackVictims(variant).make(HERE, bench.need(NEWCOMER).model, bench.view)


def test_serverlessllm_dp_by_hand_adds_recomputation_wait_and_load() -> None:
    """1 s start-up, 80 bytes at 10 a second, and 100 tokens at 0.01 s each."""
    paper, code = clear(busy([1], 1, [1])), clear(busy([1], 1, [1]), "code")
    assert paper is not None
    assert code is not None
    assert isclose(paper.cost_s, 9.0 + 1.0)
    assert isclose(code.cost_s, 9.0 + 0.01 * 100 + 0.1)
    assert isclose(paper.free_at, 9.0 + 1.0 + 0.5)


def test_the_queue_of_a_target_advances_with_the_victims_sent_there() -> None:
    """Both go to the one other node: its first load takes 9 s, the second ends after 18."""
    clearing = clear(busy([1, 1], 2, [2]))
    assert clearing is not None
    assert isclose(clearing.cost_s, (9.0 + 1.0) + (9.0 + 9.0 + 1.0))


@pytest.mark.parametrize(
    ("cards", "need", "paper", "code"),
    [([1, 1], 2, True, False), ([2], 1, True, False), ([2], 2, True, True), ([1], 1, True, True)],
)
def test_the_released_programme_knows_single_victims_of_the_exact_size_only(
    cards: list[int], need: int, paper: bool, code: bool
) -> None:
    assert (clear(busy(cards, need, [2])) is not None) == paper
    assert (clear(busy(cards, need, [2]), "code") is not None) == code


def test_no_two_victims_are_sent_to_the_same_free_card() -> None:
    assert clear(busy([1, 1], 2, [1])) is None
    clearing = clear(busy([1, 1], 2, [1, 1]))
    assert clearing is not None
    starts = [s.command for s in clearing.plan.steps if isinstance(s.command, StartInstance)]
    assert sorted(s.shards[0].node for s in starts) == [1, 2]


def test_a_ready_instance_elsewhere_saves_the_load_and_an_idle_victim_costs_nothing() -> None:
    bench = busy([1], 1, [1])
    target = bench.run(0, 1)
    assert target is not None
    clearing = clear(bench)
    assert clearing is not None
    moves = [s.command for s in clearing.plan.steps if isinstance(s.command, Migrate)]
    assert [m.target for m in moves] == [target.id]
    assert isclose(clearing.cost_s, 1.0)
    idle = Bench([node(0)], [model(0), model(NEWCOMER)], resident=[(0, 0, Tier.DRAM)])
    idle.run(0, 0)
    clearing = clear(idle)
    assert clearing is not None
    assert clearing.cost_s == 0.0


def test_shares_of_a_card_are_not_its_business() -> None:
    bench = Bench([node(0)], [model(0), model(NEWCOMER, part(40))])
    bench.run(0, 0, 1)
    assert clear(bench) is None
    assert not KnapsackVictims().reach(bench.need(NEWCOMER).model, bench.view).any()


def test_serverlessllm_dp_gains_the_node_where_the_newcomer_lies() -> None:
    """The victim moves to the free node, which has a copy of it and none of the newcomer."""
    ours, _ = gains(in_the_way(), beside_idle(KnapsackVictims()), IDLE_ONLY, first_token_s, by=5.0)
    assert ours.commands["Migrate"] == 1


def test_serverlessllm_dp_loses_to_the_exact_search_where_victims_share_a_target() -> None:
    """The first victim takes the target nearest to it, which is the only near one of the second."""
    exact = beside_idle(MigrateVictims())
    loses(crossing(), beside_idle(KnapsackVictims()), exact, first_token_s, by=3.0)
    gains(crossing(), beside_idle(KnapsackVictims()), IDLE_ONLY, first_token_s, by=3.0)


def test_the_released_variant_loses_where_two_victims_are_needed() -> None:
    """It leaves a model of two cards to wait until both small ones have ended."""
    code, paper = beside_idle(KnapsackVictims("code")), beside_idle(KnapsackVictims())
    loses(crossing(), code, paper, first_token_s, by=3.0)
