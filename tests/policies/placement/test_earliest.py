"""Where an instance starts: by hand on fleets of a few nodes.

Unless a test says otherwise a model has 80 bytes: 1 s start-up and 8 s (remote), 2 s (SSD) or 1 s
(DRAM); a "fast" node halves the transfers. Stopping takes 0.5 s.
"""

from math import isclose

import numpy as np
import pytest

from fleet.commands import Sleep, StartInstance, StopInstance, Wake
from fleet.domain import NodeId, Tier, Whole
from fleet.estimates import load_of
from fleet.holders import Phase
from fleet.plans import NOTHING, UNNUMBERED, Plan
from fleet.policy import FULL, Placed
from policies import recipes
from policies.keep_alive.idle_time import KeepForever
from policies.placement.anywhere import RandomPlacement
from policies.placement.earliest import EarliestReady
from policies.placement.starts import load_s, nearest
from policies.room.stopping import CheapestRoom, EvictIdle, NoRoom
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrivals, gains, loses, with_


def plan_of(placed: Placed) -> Plan:
    assert placed is not None
    assert placed is not FULL
    return placed


def starts(placed: Placed) -> StartInstance:
    command = plan_of(placed).steps[-1].command
    assert isinstance(command, StartInstance)
    return command


def place(bench: Bench, number: int = 0, room: object = None) -> Placed:
    return EarliestReady().place(bench.need(number), bench.view, room or NoRoom())  # type: ignore[arg-type]


def test_the_nearest_copy_wins() -> None:
    bench = Bench(
        [node(0), node(1), node(2)], [model(0)], resident=[(0, 1, Tier.SSD), (0, 2, Tier.DRAM)]
    )
    placed = place(bench)
    assert starts(placed).shards[0].node == 2
    assert isclose(plan_of(placed).ready_at, 1.0 + 1.0)


def test_a_queue_on_the_nearest_node_sends_it_elsewhere() -> None:
    """q + n / b: 2.5 + 2 at the DRAM copy, 0 + 3 at the SSD copy."""
    bench = Bench([node(0), node(1)], [model(0)], resident=[(0, 0, Tier.DRAM), (0, 1, Tier.SSD)])
    bench.state.nodes.loading_until[0] = 2.5
    assert starts(place(bench)).shards[0].node == 1
    bench.state.nodes.loading_until[0] = 0.5
    placed = place(bench)
    assert starts(placed).shards[0].node == 0
    assert isclose(plan_of(placed).ready_at, 0.5 + 2.0)


def test_loads_that_were_seen_to_be_slow_are_believed() -> None:
    bench = Bench([node(0), node(1, kind="fast")], [model(0)], resident=[(0, 0, Tier.SSD)])
    # SSD here 1 + 2 = 3 s; remote at the fast node 1 + 4 = 5 s.
    assert starts(place(bench)).shards[0].node == 0
    spec = bench.need(0).model
    for _ in range(20):
        bench.view.estimates.saw_load(
            load_of(spec, Tier.SSD, 1), bench.view.node(NodeId(0)), 9.0, queued_s=0.0
        )
    assert starts(place(bench)).shards[0].node == 1
    assert load_s(spec, bench.view).tolist() == pytest.approx([9.0, 5.0])


def test_released_estimates_never_learn() -> None:
    bench = Bench([node(0)], [model(0)])
    bench.view.estimates.online = False
    spec = bench.need(0).model
    bench.view.estimates.saw_load(
        load_of(spec, Tier.REMOTE, 1), bench.view.node(NodeId(0)), 90.0, queued_s=0.0
    )
    assert load_s(spec, bench.view).tolist() == [9.0]


def test_clearing_the_node_with_the_copy_beats_a_free_node_without() -> None:
    """Stop 0.5 s, then 2 s from DRAM, against 9 s from the remote store."""
    bench = Bench([node(0), node(1)], [model(0), model(1)], resident=[(0, 0, Tier.DRAM)])
    bench.run(1, 0)
    placed = place(bench, room=EvictIdle())
    assert starts(placed).shards[0].node == 0
    assert isclose(plan_of(placed).ready_at, 0.5 + 2.0)
    assert isinstance(plan_of(placed).steps[0].command, StopInstance)
    assert starts(place(bench)).shards[0].node == 1


def test_a_free_node_beats_a_clearing_that_takes_longer() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(1)], resident=[(0, 1, Tier.DRAM)])
    bench.run(1, 0)
    assert starts(place(bench, room=EvictIdle())).shards[0].node == 1


def test_a_node_is_cleared_while_its_queue_runs() -> None:
    """max(0.5, 4) + 2, not 0.5 + 4 + 2."""
    bench = Bench([node(0)], [model(0), model(1)], resident=[(0, 0, Tier.DRAM)])
    bench.run(1, 0)
    bench.state.nodes.loading_until[0] = 4.0
    assert isclose(plan_of(place(bench, room=EvictIdle())).ready_at, 6.0)


def test_migration_makes_room_where_nothing_is_idle() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(1)], resident=[(0, 0, Tier.DRAM)])
    bench.run(1, 0, requests=1, prompt=10)
    assert starts(place(bench, room=EvictIdle())).shards[0].node == 1
    bench.state.nodes.loading_until[1] = 0.0
    moved = place(bench, room=CheapestRoom())
    # The victim would load there for 9 s, and the model 2 s after that here: later than 9 s there.
    assert starts(moved).shards[0].node == 1
    with_copy = Bench(
        [node(0), node(1)], [model(0), model(1)], resident=[(0, 0, Tier.DRAM), (1, 1, Tier.DRAM)]
    )
    with_copy.run(1, 0, requests=1, prompt=10)
    moved = place(with_copy, room=CheapestRoom())
    assert starts(moved).shards[0].node == 0
    assert isclose(plan_of(moved).ready_at, 2.0 + 0.1 + 0.5 + 2.0)


def test_a_mixed_fleet_is_ranked_by_what_each_kind_takes() -> None:
    bench = Bench([node(0), node(1, kind="fast")], [model(0)])
    placed = place(bench)
    assert starts(placed).shards[0].node == 1
    assert isclose(plan_of(placed).ready_at, 1.0 + 4.0)


def test_a_sleeping_instance_is_woken_if_it_is_ready_sooner() -> None:
    bench = Bench([node(0)], [model(0)])
    instance = bench.run(0, 0)
    assert instance is not None
    bench.finish(bench.begin(NOTHING.then(Sleep(UNNUMBERED, instance.id, 1), 0.0)))
    assert [i.id for i in bench.view.asleep(instance.model.id)] == [instance.id]
    placed = place(bench)
    assert isinstance(plan_of(placed).steps[0].command, Wake)
    assert isclose(plan_of(placed).ready_at, 0.25 + 1.0)  # from the copy it left in DRAM
    bench.finish(bench.begin(plan_of(placed)))
    assert instance.phase is Phase.READY


def test_a_sleeper_whose_cards_were_taken_is_left_asleep() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(1)])
    instance = bench.run(0, 0)
    assert instance is not None
    bench.finish(bench.begin(NOTHING.then(Sleep(UNNUMBERED, instance.id, 1), 0.0)))
    bench.run(1, 0)
    assert starts(place(bench)).shards[0].node == 1


def test_a_pipeline_takes_a_node_a_stage_the_soonest_first() -> None:
    bench = Bench(
        [node(0), node(1), node(2)],
        [model(0, stages=2), model(1)],
        resident=[(0, 0, Tier.SSD), (0, 2, Tier.DRAM)],
    )
    placed = place(bench)
    assert [s.node for s in starts(placed).shards] == [2, 0]
    assert isclose(plan_of(placed).ready_at, 1.0 + 40 / 40.0)  # half of it a stage
    bench.finish(bench.begin(plan_of(placed)))
    assert next(iter(bench.state.instances.values())).phase is Phase.READY


def test_a_pipeline_clears_idle_instances_on_any_of_its_nodes() -> None:
    bench = Bench([node(0), node(1), node(2)], [model(0, stages=2), model(1), model(2)])
    bench.run(1, 1)
    bench.run(2, 2)
    bench.state.nodes.loading_until[1] = 1.0
    placed = place(bench, room=EvictIdle())
    assert [s.node for s in starts(placed).shards] == [0, 2]
    assert isclose(plan_of(placed).ready_at, 0.5 + 1.0 + 40 / 10.0)
    bench.finish(bench.begin(plan_of(placed)))
    assert sorted(int(i.model.id) for i in bench.state.instances.values()) == [0, 1]


def test_a_pipeline_waits_if_a_stage_finds_no_node() -> None:
    bench = Bench([node(0), node(1)], [model(0, stages=2), model(1)])
    bench.run(1, 1, requests=1)
    assert place(bench, room=EvictIdle()) is FULL


def test_full_is_said_where_no_node_serves() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    bench.run(0, 0, requests=1)
    assert place(bench, 1) is FULL
    assert place(bench, 1, CheapestRoom()) is FULL
    assert EarliestReady().place(bench.need(0), Bench([], [model(0)]).view, NoRoom()) is FULL
    assert RandomPlacement().place(bench.need(1), bench.view, EvictIdle()) is FULL


def test_nodes_to_be_cleared_are_tried_in_order_and_no_more_than_listed() -> None:
    crowd = [model(0), model(1), model(2)]
    bench = Bench([node(n) for n in range(3)], crowd, resident=[(0, 2, Tier.SSD)])
    bench.run(1, 0)
    bench.run(1, 1)
    bench.run(2, 2, requests=1)
    assert starts(place(bench, room=EvictIdle())).shards[0].node == 0
    # The node with the copy is nearest, and cannot be cleared; no other is tried.
    placed = EarliestReady(shortlist=1).place(bench.need(0), bench.view, CheapestRoom())
    assert placed is FULL


def test_the_nearest_nodes_come_in_order_with_ties_by_number() -> None:
    order = np.array([3.0, 1.0, 1.0, 1.0, 2.0])
    reach = np.array([True, True, False, True, True])
    assert nearest(reach, order, 2) == [1, 3]
    assert nearest(reach, order, 9) == [1, 3, 4, 0]
    assert nearest(reach, np.zeros(5), 3) == [0, 1, 3]


def test_random_placement_takes_every_free_node_equally_often_and_ignores_copies() -> None:
    bench = Bench([node(n) for n in range(4)], [model(0), model(1)], resident=[(0, 3, Tier.DRAM)])
    bench.run(1, 1)
    counts = [0] * 4
    for _ in range(600):
        placed = RandomPlacement().place(bench.need(0), bench.view, EvictIdle())
        counts[starts(placed).shards[0].node] += 1
    assert counts[1] == 0
    assert all(150 < count < 250 for count in (counts[0], counts[2], counts[3]))


def test_random_placement_clears_a_node_when_none_is_free() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(1)])
    bench.run(1, 0, requests=1)
    bench.run(1, 1)
    placed = RandomPlacement().place(bench.need(0), bench.view, EvictIdle())
    assert starts(placed).shards[0].node == 1
    assert isclose(plan_of(placed).ready_at, 0.5 + 9.0)


def test_random_placement_of_a_pipeline_uses_distinct_nodes() -> None:
    bench = Bench([node(n) for n in range(4)], [model(0, Whole(1), stages=3)])
    placed = RandomPlacement().place(bench.need(0), bench.view, NoRoom())
    assert len({s.node for s in starts(placed).shards}) == 3
    assert isclose(plan_of(placed).ready_at, 1.0 + 80 / 3 / 10.0)


def test_earliest_ready_by_hand_is_the_least_of_queue_and_load() -> None:
    """q + n / b + start-up: 4 + 2 s at the DRAM copy, 1 + 3 s at the SSD copy, else 9 s."""
    copies = [(0, 0, Tier.DRAM), (0, 1, Tier.SSD)]
    bench = Bench([node(0), node(1), node(2)], [model(0)], resident=copies)
    bench.state.nodes.loading_until[0] = 4.0
    bench.state.nodes.loading_until[1] = 1.0
    placed = place(bench)
    assert starts(placed).shards[0].node == 1
    assert isclose(plan_of(placed).ready_at, 4.0)


DRAM, SSD = Tier.DRAM, Tier.SSD
EARLIEST, ANYWHERE = (
    with_(recipes.serverlessllm_no_migration(), placement=p)
    for p in (EarliestReady(), RandomPlacement())
)


def test_earliest_ready_gains_where_copies_are_rare() -> None:
    """Each model lies on one SSD of four nodes: 3 s there, 11 s from the store elsewhere."""
    setting = Setting(
        nodes=tuple(a40(n) for n in range(4)),
        models=tuple(spec(n, 13 * GB, Whole(1)) for n in range(4)),
        resident=tuple((n, n, Tier.SSD) for n in range(4)),
        arrivals=arrivals([(60.0 * n, n % 4) for n in range(8)]),
    )
    gains(setting, EARLIEST, ANYWHERE, lambda p: p.mean_ttft_s, by=1.5)


#: Two models in turn; node 0 has both in DRAM, node 1 both on its SSD; a card each.
IN_TURN = Setting(
    nodes=(a40(0, gpus=1), a40(1, gpus=1)),
    models=tuple(spec(n, 40 * GB, Whole(1)) for n in range(2)),
    resident=tuple((n, on, tier) for n in range(2) for on, tier in enumerate((DRAM, SSD))),
    arrivals=arrivals([(20.0 * n, n % 2) for n in range(20)]),
)


def test_earliest_ready_loses_where_it_stops_what_is_asked_for_next() -> None:
    """Stopping one model for the other is ready in 1.7 s, a free card beside the SSD in 8 s: so the
    two stop each other for ever. Chance takes the free card, and both stay."""
    ours, chance = (with_(policy, keep_alive=KeepForever()) for policy in (EARLIEST, ANYWHERE))
    mine, theirs = loses(IN_TURN, ours, chance, lambda p: p.mean_ttft_s)
    assert mine.commands["StartInstance"] == 20
    assert theirs.commands["StartInstance"] == 2
