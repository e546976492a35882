"""Switching a card from one model to another: the plan, its cost, and when it pays.

80 bytes take 1 s of start-up and 2 s from SSD or 1 s from DRAM; a wake takes 0.25 s and 1 s, a stop
0.5 s.
"""

from math import isclose

from msgspec.structs import replace

from fleet.commands import Sleep, StartInstance, StopInstance, Wake
from fleet.domain import NodeId, Tier, Whole
from fleet.policy import FULL
from policies import recipes
from policies.keep_alive.idle_time import KeepForever
from policies.placement.aegaeon import AegaeonPrefill, gives_way
from policies.placement.anywhere import RandomPlacement
from policies.room.stopping import EvictIdle, NoRoom
from sim.profiles import load_profile
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, arrivals, gains, loses, replace_fields, with_
from tests.policies.placement.test_earliest import ANYWHERE, IN_TURN, plan_of


def one_card(dram_bytes: int = 10_000) -> Bench:
    """One card with an idle instance of model 1; model 0 lies on the SSD."""
    only = replace(node(0), dram_bytes=dram_bytes)
    bench = Bench([only], [model(0), model(1)], resident=[(0, 0, Tier.SSD)])
    bench.run(1, 0)
    return bench


def test_aegaeon_prefill_by_hand_puts_what_is_idle_to_sleep() -> None:
    """Its weights lie in memory already: 0 s, then 3 s; stopping it would take 0.5 s more."""
    bench = one_card()
    plan = plan_of(AegaeonPrefill().place(bench.need(0), bench.view, EvictIdle()))
    assert [type(step.command) for step in plan.steps] == [Sleep, StartInstance]
    assert isclose(plan.ready_at, 3.0)


def test_aegaeon_prefill_by_hand_wakes_a_sleeper_on_the_card_of_another() -> None:
    bench = one_card()
    rule = AegaeonPrefill()
    bench.finish(bench.begin(plan_of(rule.place(bench.need(0), bench.view, NoRoom()))))
    back = plan_of(rule.place(bench.need(1), bench.view, NoRoom()))
    assert [type(step.command) for step in back.steps] == [Sleep, Wake]
    assert isclose(back.ready_at - bench.view.now, 1.25)
    bench.finish(bench.begin(back))
    assert len(bench.view.ready(bench.need(1).model.id)) == 1


def test_aegaeon_prefill_by_hand_stops_what_would_take_longer_to_write() -> None:
    """No room in memory for a copy: 1 s to write the weights, against 0.5 s to stop."""
    bench = one_card(dram_bytes=40)
    assert not bench.view.pool(NodeId(0), Tier.DRAM).has(bench.need(1).model.id)
    plan = plan_of(AegaeonPrefill().place(bench.need(0), bench.view, EvictIdle()))
    assert isinstance(plan.steps[0].command, StopInstance)


def test_aegaeon_prefill_by_hand_leaves_the_busy_to_the_end_of_their_turn() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    busy = bench.run(1, 0, requests=1)
    assert busy is not None
    assert gives_way(busy, bench.need(0).model)
    assert AegaeonPrefill().place(bench.need(0), bench.view, EvictIdle()) is FULL


H100 = load_profile("h100")
#: Two models in turn on one card that starts engines in half a minute and wakes them in seconds.
ALTERNATING = Setting(
    nodes=(replace_fields(H100.node_spec(NodeId(0), "n0"), {"gpus": 1}),),
    models=tuple(spec(n, 20 * GB, Whole(1), slots=8) for n in range(2)),
    resident=tuple((n, 0, Tier.SSD) for n in range(2)),
    profiles=(H100,),
    arrivals=arrivals([(90.0 * n, n % 2) for n in range(8)]),
)


def test_aegaeon_prefill_gains_where_models_share_a_card_in_turn() -> None:
    forever = with_(recipes.serverlessllm_no_migration(), keep_alive=KeepForever())
    chance = with_(forever, placement=RandomPlacement())
    ours = with_(forever, placement=AegaeonPrefill())
    mine, theirs = gains(ALTERNATING, ours, chance, lambda p: p.mean_ttft_s, by=2.0)
    assert mine.commands["Wake"] == 6
    assert theirs.commands["StartInstance"] == 8


def test_aegaeon_prefill_loses_where_it_switches_instead_of_taking_a_free_card() -> None:
    """Putting one model to sleep for the other is ready in 1.6 s, a free card beside the SSD in
    8 s: so the two switch at every request. Chance takes the free card, and both stay."""
    ours, chance = (
        with_(ANYWHERE, keep_alive=KeepForever(), placement=p)
        for p in (AegaeonPrefill(), RandomPlacement())
    )
    loses(IN_TURN, ours, chance, lambda p: p.mean_ttft_s)
