"""Retained bytes against the cost of eviction: the score by hand, and a queue that it overlooks.

80 bytes take 1 s of start-up and 8 s from the remote store, 2 s from SSD or 1 s from DRAM.
"""

from math import isclose

from fleet.commands import Sleep, StopInstance, Wake
from fleet.domain import Tier, Whole
from fleet.plans import NOTHING, UNNUMBERED
from policies import recipes
from policies.keep_alive.idle_time import KeepForever
from policies.placement.earliest import EarliestReady
from policies.placement.tangram import TangramAffinity
from policies.room.stopping import EvictIdle, NoRoom
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrival, arrivals, gains, loses, with_
from tests.policies.placement.test_earliest import ANYWHERE, plan_of, starts


def beside_idle(asked_s: float) -> Bench:
    """Model 0 lies in DRAM beside an idle model 1 that was asked for so long ago; SSD elsewhere."""
    bench = Bench(
        [node(0), node(1)],
        [model(0), model(1)],
        resident=[(0, 0, Tier.DRAM), (0, 1, Tier.SSD), (1, 0, Tier.DRAM)],
    )
    bench.run(1, 0)
    if asked_s < 60.0:
        for _ in range(6):
            bench.ask(1)
    return bench.at(bench.state.now + asked_s)


def test_tangram_by_hand_weighs_a_shorter_load_against_what_it_stops() -> None:
    """1 s less to load; the idle model would take 2 s to load again, with a chance of 1 - e^(-rate
    * 60): nearly 1 after six requests in a minute, 0 where nobody has asked for it."""
    rule = TangramAffinity()
    popular, forgotten = beside_idle(1.0), beside_idle(1e6)
    kept = rule.place(popular.need(0), popular.view, EvictIdle())
    assert starts(kept).shards[0].node == 1
    stopped = rule.place(forgotten.need(0), forgotten.view, EvictIdle())
    assert starts(stopped).shards[0].node == 0
    assert isinstance(plan_of(stopped).steps[0].command, StopInstance)
    # The earliest start stops it either way.
    assert (
        starts(EarliestReady().place(popular.need(0), popular.view, EvictIdle())).shards[0].node
        == 0
    )


def test_tangram_by_hand_a_sleeper_has_retained_the_most() -> None:
    """Waking takes 0.25 s and 1 s over PCIe, a start from the same memory 1 s and 1 s."""
    bench = Bench([node(0), node(1)], [model(0)], resident=[(0, 0, Tier.DRAM), (0, 1, Tier.DRAM)])
    sleeper = bench.run(0, 0)
    assert sleeper is not None
    bench.finish(bench.begin(NOTHING.then(Sleep(UNNUMBERED, sleeper.id, 1), 0.0)))
    (step,) = plan_of(TangramAffinity().place(bench.need(0), bench.view, NoRoom())).steps
    assert isinstance(step.command, Wake)


def test_tangram_by_hand_does_not_count_the_loads_under_way() -> None:
    bench = Bench([node(0), node(1)], [model(0)], resident=[(0, 0, Tier.DRAM), (0, 1, Tier.SSD)])
    bench.state.nodes.loading_until[0] = 5.0
    placed = TangramAffinity().place(bench.need(0), bench.view, NoRoom())
    assert starts(placed).shards[0].node == 0
    assert isclose(plan_of(placed).ready_at, 5.0 + 2.0)


#: Each model lies in the DRAM of one of four nodes.
RETAINED = Setting(
    nodes=tuple(a40(n) for n in range(4)),
    models=tuple(spec(n, 40 * GB, Whole(1)) for n in range(4)),
    resident=tuple((n, n, Tier.DRAM) for n in range(4)),
    arrivals=arrivals([(60.0 * n, n % 4) for n in range(8)]),
)


def test_tangram_gains_where_every_model_is_retained_somewhere() -> None:
    """From DRAM in 1.6 s, from the store in 34 s: chance finds the node one time in four."""
    keep = with_(ANYWHERE, keep_alive=KeepForever())
    ours = with_(keep, placement=TangramAffinity())
    gains(RETAINED, ours, keep, lambda p: p.mean_ttft_s, by=1.5)


def test_tangram_loses_where_many_loads_queue_for_the_node_with_the_copies() -> None:
    """Four models of 40 GB lie on the SSD of node 0, and two of them on that of node 1 as well:
    it sends all to the first, where each waits for the one before; chance spreads them."""
    setting = Setting(
        nodes=(a40(0), a40(1)),
        models=tuple(spec(n, 40 * GB, Whole(1)) for n in range(4)),
        resident=tuple((n, on, Tier.SSD) for n in range(4) for on in range(2)),
        arrivals=tuple(arrival(n, 0.1 * n, n, 20) for n in range(4)),
    )
    ours = with_(recipes.serverlessllm_no_migration(), placement=TangramAffinity())
    loses(setting, ours, with_(ours, placement=EarliestReady()), lambda p: p.mean_ttft_s)
    loses(setting, ours, ANYWHERE, lambda p: p.mean_ttft_s)
