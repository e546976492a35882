"""When emptying a node pays, what moves where, and what that is good and bad for."""

from math import isclose

from fleet.commands import Migrate, StartInstance, StopInstance
from fleet.domain import NodeId, Whole
from fleet.plans import Plan
from policies.upkeep.defragmentation import Defragment, packing, partly_used
from tests.policies.bench import Bench, model, node
from tests.policies.duels import Setting, arrival, gains, loses, with_
from tests.policies.room.settings import DRAM, IDLE_ONLY, first_token_s, fleet, longest_gap_s


def halves(nodes: int = 2, requests: int = 1) -> Bench:
    """Nodes of two cards, with one instance of a model of its own on each."""
    bench = Bench([node(n, 2) for n in range(nodes)], [model(n) for n in range(nodes)])
    for n in range(nodes):
        bench.run(n, n, requests)
    return bench


def plans(bench: Bench, policy: Defragment) -> list[Plan]:
    return list(policy.tend(bench.view))


def test_defragment_by_hand_empties_a_half_used_node_if_that_pays() -> None:
    """Without prices a card costs 0.01 a second. Saved: 2 cards * 60 s. Spent: one card for the
    load of 9 s, and a pause of 0.1 + 20 * 0.01 s."""
    bench, policy = halves(), Defragment()
    packed = packing(NodeId(0), [NodeId(0), NodeId(1)], bench.view)
    assert packed is not None
    assert isclose(policy.saved(NodeId(0), bench.view), 0.01 * 2 * 60)
    assert isclose(policy.spent(packed, bench.view), 0.01 * 9.0 + 0.01 * 0.3)
    (plan,) = plans(bench, policy)
    start, move, stop = (step.command for step in plan.steps)
    assert isinstance(start, StartInstance)
    assert start.shards[0].node == 1
    assert isinstance(move, Migrate)
    assert isinstance(stop, StopInstance)
    assert stop.instance == 0
    assert isclose(plan.ready_at, 9.0 + 0.5)
    bench.finish(bench.begin(plan))
    assert bench.view.nodes.free_gpus.tolist() == [2, 0]


def test_nothing_moves_where_the_period_is_too_short_to_pay_for_it() -> None:
    assert plans(halves(), Defragment(every_s=5.0))
    assert not plans(halves(), Defragment(every_s=4.0))


def test_one_node_is_emptied_a_period_and_onto_the_fullest() -> None:
    bench = Bench([node(0, 3), node(1, 4), node(2, 4)], [model(n) for n in range(5)])
    for number, on in ((0, 0), (1, 1), (2, 2), (3, 2), (4, 2)):
        bench.run(number, on, 1)
    (plan,) = plans(bench, Defragment())
    starts = [s.command for s in plan.steps if isinstance(s.command, StartInstance)]
    assert [start.shards[0].node for start in starts] == [2]


def test_what_is_idle_just_stops() -> None:
    (plan,) = plans(halves(requests=0), Defragment())
    assert [type(step.command) for step in plan.steps] == [StopInstance]


def test_a_node_on_which_something_is_on_its_way_is_left_alone() -> None:
    bench = halves()
    (plan,) = plans(bench, Defragment())
    bench.begin(plan)
    assert not partly_used(NodeId(0), bench.view)
    assert not plans(bench, Defragment())


def test_what_fits_nowhere_else_stays() -> None:
    bench = Bench([node(0, 3), node(1, 2)], [model(0, Whole(2)), model(1)])
    bench.run(0, 0, 1)
    bench.run(1, 1, 1)
    assert packing(NodeId(0), [NodeId(0), NodeId(1)], bench.view) is None


def scattered(wide: bool = True) -> Setting:
    """Two small models run for two minutes, on a node each; a model that needs both cards."""
    copies = [(m, n, DRAM) for m in range(3) for n in (0, 1)]
    rows = [arrival(0, 0.0, 1, 4000), arrival(1, 0.1, 2, 4000), arrival(2, 70.0, 0, 50)]
    return fleet([2, 2], [2, 1, 1], copies, rows if wide else rows[:2])


DEFRAGMENTED = with_(IDLE_ONLY, upkeep=(Defragment(),))


def test_defragment_gains_a_start_for_a_model_of_two_cards() -> None:
    """Two cards are free from the first minute on, and on one node from the second."""
    ours, _ = gains(scattered(), DEFRAGMENTED, IDLE_ONLY, first_token_s, by=50.0)
    assert ours.commands["Migrate"] == 1


def test_defragment_loses_smoothness_where_nobody_wants_the_room() -> None:
    alone = scattered(wide=False)
    loses(alone, DEFRAGMENTED, IDLE_ONLY, longest_gap_s, by=1.5)
