"""Waiting for the node that holds the checkpoint: by hand, and when it pays.

80 bytes take 1 s of start-up and 8 s from the remote store, 2 s from SSD or 1 s from DRAM; stopping
takes 0.5 s, a token 0.1 s, and 128 tokens are expected of a model that none was seen of.
"""

from math import isclose

from fleet.domain import Tier, Whole
from policies import recipes
from policies.placement.anywhere import RandomPlacement
from policies.placement.earliest import EarliestReady
from policies.placement.locality import Locality, ends_at
from policies.room.stopping import EvictIdle, NoRoom
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrival, arrivals, gains, loses, play, with_
from tests.policies.placement.test_earliest import plan_of, starts


def beside(running_s: float) -> Bench:
    """Node 0 holds the model and is busy since so many seconds; node 1 is free."""
    bench = Bench([node(0), node(1)], [model(0), model(1)], resident=[(0, 0, Tier.DRAM)])
    bench.run(1, 0, requests=1)
    return bench.at(bench.state.now + running_s)


def test_locality_by_hand_waits_while_that_is_believed_sooner() -> None:
    """128 tokens of 0.1 s are 12.8 s, then 0.5 + 2 s: against 9 s elsewhere, not until 6.3 s in."""
    rule = Locality()
    early, late = beside(6.0), beside(6.5)
    assert starts(rule.place(early.need(0), early.view, EvictIdle())).shards[0].node == 1
    assert rule.place(late.need(0), late.view, EvictIdle()) is None
    assert Locality(strict=True).place(early.need(0), early.view, EvictIdle()) is None


def test_locality_by_hand_who_outlives_the_mean_goes_on_as_long_as_it_has() -> None:
    bench = beside(20.0)
    (busy,) = bench.view.on_node(bench.view.node(bench.view.nodes.specs[0].id).id)
    assert isclose(ends_at(busy, bench.view), bench.view.now + 20.0)
    placed = Locality().place(bench.need(0), bench.view, EvictIdle())
    assert starts(placed).shards[0].node == 1


def test_locality_by_hand_starts_at_once_where_a_holder_has_room() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(1)], resident=[(0, 0, Tier.DRAM)])
    placed = Locality(strict=True).place(bench.need(0), bench.view, NoRoom())
    assert starts(placed).shards[0].node == 0
    assert isclose(plan_of(placed).ready_at, 2.0)
    nowhere = Locality(strict=True).place(bench.need(1), bench.view, NoRoom())
    assert starts(nowhere) is not None  # no node holds it: the earliest serves


#: Only node 0 can hold copies; model 0 is asked for twice in a row, again and again.
TWICE = Setting(
    nodes=(a40(0, gpus=1), a40(1, gpus=1, dram_bytes=0, ssd_bytes=0)),
    models=(spec(0, 40 * GB, Whole(1)), spec(1, 40 * GB, Whole(1))),
    resident=((0, 0, Tier.DRAM), (1, 0, Tier.DRAM)),
    arrivals=arrivals(
        [(90.0 * n + lag, 0) for n in range(6) for lag in (0.0, 1.0)], output_tokens=60
    ),
)
RANDOM = with_(recipes.serverlessllm_no_migration(), placement=RandomPlacement())
EARLIEST = with_(recipes.serverlessllm_no_migration(), placement=EarliestReady())
STRICT = with_(EARLIEST, placement=Locality(strict=True))


def test_locality_gains_where_what_is_in_the_way_ends_before_a_copy_has_come() -> None:
    """The second request waits 6 s for the first one's card, which soon serves it itself; elsewhere
    40 GB would come from the store in 34 s."""
    waits = with_(EARLIEST, placement=Locality())
    mine, theirs = gains(TWICE, waits, RANDOM, lambda p: p.mean_ttft_s)
    assert mine.finished == theirs.finished == 12
    assert mine.commands["StartInstance"] < play(TWICE, EARLIEST).commands["StartInstance"]


def test_locality_loses_where_it_queues_behind_what_runs_long() -> None:
    """Strictly: behind 2,000 tokens of another model, while a free node is 11 s away."""
    setting = Setting(
        nodes=(a40(0, gpus=1), a40(1, gpus=1)),
        models=(spec(0, 13 * GB, Whole(1)), spec(1, 13 * GB, Whole(1))),
        resident=((0, 0, Tier.DRAM), (1, 0, Tier.DRAM)),
        arrivals=(arrival(0, 0.0, 1, 2000), arrival(1, 1.0, 0, 100)),
    )
    mine, theirs = loses(setting, STRICT, EARLIEST, lambda p: p.mean_ttft_s)
    assert mine.mean_ttft_s > 20 > theirs.mean_ttft_s
