"""Nodes lost and repaired: what goes with them, what stays, and in which order that is told."""

from fleet import commands as c
from fleet import events as e
from fleet.domain import NodeId, Tier
from sim.faults import FaultRates
from tests.sim.by_hand import FIRST, REQUEST, SECOND, Hand, place, shard
from tests.sim.worlds import arrival, model, node, setup, world

DRAM = Tier.DRAM


def hand(faults: FaultRates = FaultRates(), nodes: int = 2) -> Hand:  # noqa: B008 - frozen
    models = [model(0), model(1, stages=2, weight_bytes=80)]
    resident = [(0, place(0, DRAM))]
    return Hand(setup([node(i) for i in range(nodes)], models, (), resident), world(faults))


def test_a_lost_node_takes_its_instances_and_copies_along() -> None:
    play = hand()
    play.start(0.0)
    play.start(0.0, SECOND, shards=(shard(1),))
    play.lose_node(6.0, 0)
    play.play(20.0)
    assert [(event.at, event.node) for event in play.heard(e.NodeLost)] == [(6.0, NodeId(0))]
    assert not play.heard(e.InstanceLost)
    assert list(play.cluster.storage.nodes) == [NodeId(1)]
    assert list(play.cluster.instances.loaded) == [SECOND]


def test_a_pipeline_dies_with_any_of_its_nodes_and_frees_the_others() -> None:
    play = hand()
    play.start(0.0, model=1, shards=(shard(0), shard(1)))
    play.lose_node(6.0, 1)
    play.play(20.0)
    assert play.held_bytes(0) == [0, 0]
    assert not play.cluster.instances.loaded


def test_a_node_lost_while_it_loads_is_the_only_report() -> None:
    play = hand()
    start = play.start(0.0, keep=())
    pipeline = play.start(0.0, SECOND, model=1, shards=(shard(1, 1), shard(0, 1)))
    play.lose_node(2.0, 0)
    play.play(20.0)
    assert play.answer(start) is None
    assert play.answer(pipeline) is None
    assert play.held_bytes(1) == [0, 0]
    assert len(play.cluster.loads) == 0


def test_a_repaired_node_joins_empty_under_a_new_id() -> None:
    play = hand(FaultRates(repair_s=5.0))
    play.lose_node(2.0, 0)
    play.play(20.0)
    (joined,) = play.heard(e.NodeJoined)
    assert joined.at == 7.0
    assert joined.node.id == NodeId(2)
    assert joined.node.name == "n0"
    assert not play.lying(2, DRAM)


def test_nodes_are_lost_at_the_rate_that_is_asked_for() -> None:
    """Ten nodes, each lost and back within a second, for an hour at 6 an hour: 60 losses."""
    rates = FaultRates(node_loss_per_node_hour=6.0, repair_s=1e-3)
    play = Hand(setup([node(i) for i in range(10)], [model(0)]), world(rates, seed=3))
    play.play(3600.0)
    lost = len(play.heard(e.NodeLost))
    assert abs(lost - 60) < 4 * 60**0.5


def test_late_reports_from_a_node_keep_their_order() -> None:
    """The end of a request is told late; that its engine crashed, and its node was lost, after."""
    play = hand(FaultRates(late_report_probability=1.0, late_report_s=5.0))
    play.start(0.0)
    play.dispatch(10.0)
    play.at(12.6, lambda: be_on_time(play))
    play.crash(12.7)
    play.lose_node(12.8, 0)
    play.play(50.0, [arrival(0, 1.0, 6)])
    told = [type(event) for event in play.controller.heard if not isinstance(event, e.Progress)]
    assert told == [
        e.RequestArrived,
        e.InstanceReady,
        e.RequestFinished,
        e.InstanceLost,
        e.NodeLost,
    ]
    assert [event.at for event in play.controller.heard[-3:]] == [17.5, 17.5, 17.5]


def be_on_time(play: Hand) -> None:
    """From here on reports are not late by themselves."""
    play.cluster.faults.rates = FaultRates(late_report_probability=1e-9)


def test_commands_for_what_is_gone_are_answered_by_the_report_of_its_loss() -> None:
    play = hand(FaultRates(late_report_probability=1.0, late_report_s=5.0))
    play.start(0.0)
    play.start(0.0, SECOND, shards=(shard(1),))
    play.lose_node(12.0, 0)
    orders = [
        play.dispatch(13.0),
        play.give(13.1, c.Cancel, REQUEST, "timeout"),
        play.attach(13.0, 0),
        play.give(13.0, c.Sleep, FIRST, 1),
        play.give(13.0, c.StopInstance, FIRST),
        play.give(13.0, c.Wake, FIRST, place(0, DRAM)),
        play.give(13.0, c.Migrate, REQUEST, FIRST, SECOND, c.By.KV),
        play.give(13.0, c.Fetch, 0, place(1, DRAM), place(0, DRAM)),
        play.give(13.0, c.Drop, 0, place(0, DRAM)),
        play.give(13.0, c.DetachAdapter, FIRST, 0),
    ]
    play.start(13.0, shards=(shard(0),))
    play.play(50.0, [arrival(0, 1.0, 6)])
    assert [play.answer(order) for order in orders] == [None] * len(orders)
    assert [event.at for event in play.heard(e.NodeLost)] == [17.0]
