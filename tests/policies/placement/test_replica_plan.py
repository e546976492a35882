"""The plan itself: attainment in closed form, and two ways to share cards out, by hand."""

from itertools import pairwise
from math import exp, isclose

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import ModelId, NodeId, Part, Tier, Whole
from policies.placement.replica_plan import (
    Cards,
    Demand,
    Plan,
    Take,
    attained,
    demands,
    erlang_b,
    greedy,
    plan,
)
from tests.policies.bench import Bench, model, node, part


def demand(number: int, rate: float, gpus: int = 1, slots: int = 1) -> Demand:
    return Demand(model(number, Whole(gpus), slots=slots), rate, 1.0, 2.0)


def taker(cards: int) -> Take:
    """One node with so many cards."""
    left = [cards]

    def take(one: Demand) -> NodeId | None:
        assert isinstance(one.model.need, Whole)
        if left[0] < one.model.need.gpus:
            return None
        left[0] -= one.model.need.gpus
        return NodeId(0)

    return take


def replicas(found: Plan, models: int) -> list[int]:
    return [sum(found.get(ModelId(model(n).id), {}).values()) for n in range(models)]


def test_attainment_is_that_of_a_queue_with_so_many_slots() -> None:
    """Half a slot's load on one: B = 1/3, C = 1/2, and 1/2 * e^(-(1 - 0.5) * 2) wait too long."""
    assert isclose(erlang_b(1, 0.5), 1 / 3)
    assert attained(demand(0, 0.5), 0) == 0.0
    assert isclose(attained(demand(0, 0.5), 1), 1 - 0.5 * exp(-1.0))
    assert isclose(attained(demand(0, 4.0), 1), 1 / 5)  # overloaded: one of five finds the slot
    assert erlang_b(100, 1.0) == 0.0


@given(rate=st.floats(0.01, 20.0), slots=st.integers(1, 4))
def test_another_replica_never_lowers_attainment(rate: float, slots: int) -> None:
    shares = [attained(demand(0, rate, slots=slots), n) for n in range(8)]
    assert all(0.0 <= s <= 1.0 for s in shares)
    assert all(later >= sooner - 1e-9 for sooner, later in pairwise(shares))


def test_greedy_gives_the_next_card_to_whom_it_helps_most() -> None:
    """Rates 2 and 0.5: the third card makes the busy queue stable, which is worth 0.68 requests a
    second; the quiet model's first is worth 0.41, the busy one's fourth 0.1."""
    busy, quiet = demand(0, 2.0), demand(1, 0.5)
    assert replicas(greedy([busy, quiet], 0.0, taker(1)), 2) == [1, 0]
    assert replicas(greedy([busy, quiet], 0.0, taker(3)), 2) == [3, 0]
    assert replicas(greedy([busy, quiet], 0.0, taker(4)), 2) == [3, 1]
    few = greedy([busy, quiet], 0.05, taker(100))
    assert sum(replicas(few, 2)) < 10  # it stops where the gain is below a twentieth


def test_a_programmed_plan_places_the_largest_replicas_first() -> None:
    """Two nodes of two cards: rates alike, so one of two cards and two of one, not in the way."""
    bench = Bench([node(0, 2), node(1, 2)], [model(0, Whole(2)), model(1)])
    bench.ask(0)
    bench.ask(1)
    found = plan(bench.view, "ilp", 10.0, 0.0)
    assert {int(m): sum(nodes.values()) for m, nodes in found.items()} == {0: 1, 1: 2}


def test_cards_hold_whole_ones_and_shares_side_by_side() -> None:
    """Two cards of 80 bytes: one whole, then shares of 30 and 50 fill the other, and no more."""
    bench = Bench([node(0, 2)], [model(0)])
    cards, anywhere = Cards(bench.view), bench.view.tiers(model(0).id)
    assert [cards.take(s, anywhere) for s in (Part(30), Whole(1), Part(50), Part(1))] == [
        0,
        0,
        0,
        None,
    ]


def test_a_plan_prefers_the_node_with_a_copy_and_leaves_dead_ones_out() -> None:
    bench = Bench(
        [node(0), node(1), node(2)], [model(0), model(1, part(30))], resident=[(0, 2, Tier.DRAM)]
    )
    bench.ask(0)
    assert [d.model.id for d in demands(bench.view, 10.0)] == [0]
    assert plan(bench.view, "ilp", 10.0, 0.0)[model(0).id].keys() == {0, 1, 2}
    assert next(iter(plan(bench.view, "greedy", 10.0, 0.0)[model(0).id])) == 2
    bench.state.nodes.lose(NodeId(2))
    assert 2 not in plan(bench.view, "ilp", 10.0, 0.0)[model(0).id]
