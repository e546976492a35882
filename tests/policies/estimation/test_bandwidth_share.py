"""Loads that share a node's bandwidth: the formula, a load that passes another, one that ends."""

import dataclasses

import numpy as np
from msgspec.structs import replace

from fleet.domain import LinkSpec, NodeId, Tier, Whole
from fleet.estimates import SlowestHop
from policies.estimation.bandwidth_share import BandwidthShare
from sim.profiles import load_profile
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrivals, gains, replace_fields
from tests.policies.estimation.witness import believing, start_error_s, watched


def test_bandwidth_share_by_hand_each_of_three_loads_takes_three_times_as_long() -> None:
    rule = BandwidthShare()
    assert rule.ready_at(4.0, 10.0, 50.0, 2.0) == 10.0 + 3 * 4.0
    column = rule.ready_at(
        *(np.array(x) for x in ([4.0, 4.0], [10.0, 9.0], [0.0, 0.0], [0.0, 1.0]))
    )
    assert column.tolist() == [14.0, 17.0]


def test_bandwidth_share_by_hand_the_view_counts_the_loads_of_a_node() -> None:
    """80 bytes: 1 s start-up and 2 s from SSD alone; beside one load under way, twice that."""
    bench = Bench(
        [node(0, 2)],
        [model(0), model(1)],
        resident=[(0, 0, Tier.SSD), (1, 0, Tier.SSD)],
        policy=believing(BandwidthShare()),
    )
    assert bench.view.ready_column(np.array([3.0])).tolist() == [3.0]
    bench.ask(0)
    assert bench.view.ready_column(np.array([3.0])).tolist() == [6.0]


#: Loads share links here. Node 0 has both models; the other one has only a slow store.
SHARED = replace(load_profile("h100"), phases=())
SLOW_STORE = LinkSpec(5e8, 5e9, 25e9, 1.25e9)
PASSING = Setting(
    nodes=tuple(
        replace_fields(SHARED.node_spec(NodeId(n), f"n{n}"), {"links": SLOW_STORE})
        for n in range(2)
    ),
    models=(spec(0, 100 * GB, Whole(2)), spec(1, 5 * GB, Whole(1))),
    resident=((0, 0, Tier.SSD), (1, 0, Tier.SSD)),
    profiles=(SHARED,),
    arrivals=arrivals([(0.0, 0), (1.0, 1)]),
)


def test_bandwidth_share_gains_where_a_small_load_passes_a_large_one() -> None:
    """5 GB beside 100 GB take 2 s, not the 20 s of the queue: so they are not fetched for 10 s."""
    ours, simplest = believing(BandwidthShare()), believing(SlowestHop())
    mine, theirs = gains(PASSING, ours, simplest, lambda p: p.mean_ttft_s)
    assert mine.finished == theirs.finished == 2


def test_bandwidth_share_loses_where_the_load_under_way_is_nearly_over() -> None:
    """It counts loads, not what is left of them: 40 GB beside the last 0.6 s of 13 GB."""
    setting = Setting(
        nodes=(a40(0),),
        models=(spec(0, 13 * GB, Whole(1)), spec(1, 40 * GB, Whole(1))),
        resident=((0, 0, Tier.SSD), (1, 0, Tier.SSD)),
        arrivals=arrivals([(0.0, 0), (2.0, 1)]),
    )
    ours, hop = (start_error_s(setting, believing(e)) for e in (BandwidthShare(), SlowestHop()))
    assert ours > 3 * hop


def test_what_a_load_waited_for_others_does_not_make_the_next_one_look_slow() -> None:
    """The wait that was believed is taken off before a measured load corrects its model."""
    again = dataclasses.replace(
        PASSING,
        nodes=PASSING.nodes[:1],
        arrivals=arrivals([(0.0, 0), (1.0, 1), (200.0, 1)]),
    )
    believed, took = watched(again, believing(BandwidthShare()))[1].pairs[-1]
    assert abs(believed - took) < 0.1 * took
