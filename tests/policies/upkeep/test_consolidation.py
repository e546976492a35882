"""A cold-start pipeline becomes one instance: step by step, and what that saves and costs."""

from fleet.commands import Migrate, StartInstance, StopInstance
from fleet.domain import Shard, Tier, Whole
from fleet.holders import Instance
from policies import recipes
from policies.placement.hydraserve import HydraServe
from policies.upkeep.consolidation import Consolidate
from tests.policies.bench import CARD_BYTES, Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrival, gains, loses, with_


def piped(requests: int, nodes: int = 3) -> tuple[Bench, Instance]:
    """Model 0 in two stages on the first two nodes, with so many requests."""
    bench = Bench([node(n) for n in range(nodes)], [model(0), model(1)])
    ids = [bench.view.nodes.specs[n].id for n in range(2)]
    shards = tuple(Shard(n, (0,), CARD_BYTES) for n in ids)
    return bench, bench.run_on(0, shards, requests)


def test_consolidate_by_hand_starts_the_whole_then_moves_then_stops() -> None:
    bench, pipeline = piped(requests=1)
    (plan,) = Consolidate().tend(bench.view)
    start, move = (step.command for step in plan.steps)
    assert isinstance(start, StartInstance)
    assert [int(s.node) for s in start.shards] == [2]
    assert isinstance(move, Migrate)
    assert move.source == pipeline.id
    out = bench.begin(plan)
    assert list(Consolidate().tend(bench.view)) == []  # one is on its way
    bench.finish(out)
    (left,) = Consolidate().tend(bench.view)
    (stop,) = (step.command for step in left.steps)
    assert isinstance(stop, StopInstance)
    assert stop.instance == pipeline.id
    bench.finish(bench.begin(left))
    (whole,) = bench.view.ready(pipeline.model.id)
    assert len(whole.shards) == 1
    assert len(whole.running) == 1


def test_consolidate_by_hand_leaves_alone_what_is_idle_or_has_no_card_to_go_to() -> None:
    assert list(Consolidate().tend(piped(requests=0)[0].view)) == []
    assert list(Consolidate().tend(piped(requests=1, nodes=2)[0].view)) == []


def test_consolidate_by_hand_moves_later_requests_with_the_stop() -> None:
    """Two slots: one request moves as the whole is there, one that came since with the stop."""
    bench, pipeline = piped(requests=1)
    (plan,) = Consolidate().tend(bench.view)
    out = bench.begin(plan)
    bench.aim.at = pipeline
    bench.ask(0)
    bench.finish(out)
    (left,) = Consolidate().tend(bench.view)
    assert [type(s.command).__name__ for s in left.steps] == ["Migrate", "StopInstance"]
    bench.finish(bench.begin(left))
    (whole,) = bench.view.ready(pipeline.model.id)
    assert len(whole.running) == 2


#: One long request on a model of 40 GB that is 8 s away in four stages, 32 s in one; five nodes.
LONG = Setting(
    nodes=tuple(a40(n, gpus=1, dram_bytes=0, ssd_bytes=0) for n in range(5)),
    models=(spec(0, 40 * GB, Whole(1), slots=8),),
    arrivals=(arrival(0, 0.0, 0, 3000),),
)
PIPED = with_(recipes.keep_alive(5.0), placement=HydraServe(ttft_slo_s=12.0))
JOINED = with_(PIPED, upkeep=(Consolidate(),))


def test_consolidate_gains_the_cards_of_a_pipeline_that_serves_for_long() -> None:
    mine, theirs = gains(LONG, JOINED, PIPED, lambda p: p.gpu_s, by=1.3)
    assert mine.commands["Migrate"] >= 1
    assert mine.finished == theirs.finished == 1


def test_consolidate_loses_where_requests_end_before_the_whole_has_come() -> None:
    """A fifth card loads for 32 s for a request of 10 s."""
    short = Setting(LONG.nodes, LONG.models, (arrival(0, 0.0, 0, 100),))
    loses(short, JOINED, PIPED, lambda p: p.gpu_s)


def test_a_copy_on_a_node_of_the_pipeline_is_used() -> None:
    bench = Bench([node(0, 2), node(1)], [model(0)], resident=[(0, 0, Tier.DRAM)])
    ids = [bench.view.nodes.specs[n].id for n in range(2)]
    bench.run_on(0, tuple(Shard(n, (0,), CARD_BYTES) for n in ids), 1)
    (plan,) = Consolidate().tend(bench.view)
    start = plan.steps[0].command
    assert isinstance(start, StartInstance)
    assert start.shards[0].node == 0
    assert start.sources[0].tier is Tier.DRAM
