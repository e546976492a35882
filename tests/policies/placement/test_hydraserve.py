"""Cold starts in stages: the formulas, the shape they choose, and when a pipeline pays."""

from math import isclose

import pytest

from fleet.domain import Tier, Whole
from policies import recipes
from policies.placement.hydraserve import HydraServe, slowdown
from policies.room.stopping import NoRoom
from policies.upkeep.consolidation import Consolidate
from tests.policies.bench import Bench, model, node, part
from tests.policies.clusters import spec
from tests.policies.duels import A40, GB, Setting, a40, arrival, arrivals, gains, loses, with_
from tests.policies.placement.test_earliest import plan_of, starts


def shape(rule: HydraServe, bench: Bench) -> list[tuple[int, int]]:
    """(node, bytes) of each stage of the start that it chooses for model 0."""
    bench.ask(0)
    placed = rule.place(bench.need(0), bench.view, NoRoom())
    return [(int(s.node), s.gpu_bytes) for s in starts(placed).shards]


def test_hydraserve_by_hand_takes_the_fewest_stages_that_meet_the_objective() -> None:
    """80 bytes at 10 a second and 1 s of start-up: 9 s whole, 5 s in two, 3.7 s in three stages;
    10 prompt tokens take 0.1 s."""
    nodes = [node(n) for n in range(4)]
    for ttft_slo_s, stages in ((10.0, 1), (9.05, 2), (5.0, 3), (3.5, 4)):
        chosen = shape(HydraServe(ttft_slo_s), Bench(nodes, [model(0)]))
        assert len(chosen) == stages
        assert [n for n, _ in chosen] == list(range(stages))


def test_hydraserve_by_hand_falls_back_to_one_stage_where_nothing_meets_it() -> None:
    assert len(shape(HydraServe(1.0), Bench([node(n) for n in range(4)], [model(0)]))) == 1
    # One node has no room for a second stage.
    assert len(shape(HydraServe(9.05), Bench([node(0)], [model(0)]))) == 1


def test_hydraserve_by_hand_shares_the_bandwidth_of_a_node_that_loads() -> None:
    """Beside a load it takes 2 * 5 s there; the free nodes have 5 s each."""
    bench = Bench([node(0, 2), node(1), node(2)], [model(0), model(1)])
    bench.state.nodes.loads[0] = 1.0
    placed = HydraServe(8.0).place(bench.need(0), bench.view, NoRoom())
    assert [int(s.node) for s in starts(placed).shards] == [1, 2]
    assert isclose(plan_of(placed).ready_at, 5.0)


def test_hydraserve_by_hand_a_share_of_a_card_is_cut_for_all_but_the_full_workers() -> None:
    """Two stages of 60 bytes: f = 1 slows decoding to rho = 1 + 1/2, 0.15 s a token and a hop."""
    nodes = [node(n) for n in range(4)]
    loose = shape(HydraServe(9.05, tpot_slo_s=0.2), Bench(nodes, [model(0, part(60))]))
    assert loose == [(0, 60), (1, 30)]
    strict = shape(HydraServe(9.05, tpot_slo_s=0.12), Bench(nodes, [model(0, part(60))]))
    assert strict == [(0, 60), (1, 60)]


def test_hydraserve_by_hand_rho_counts_the_workers_without_a_full_reservation() -> None:
    assert slowdown(1, 1) == 1.0
    assert slowdown(4, 4) == 1.0
    assert slowdown(4, 1) == 3.25


def test_hydraserve_by_hand_models_with_stages_of_their_own_keep_them() -> None:
    bench = Bench([node(n) for n in range(4)], [model(0, stages=2)])
    assert len(shape(HydraServe(1.0), bench)) == 2


#: Four servers that have the models nowhere, and 10 Gbit/s to the store: 40 GB take 32 s.
NODES = tuple(a40(n, dram_bytes=0, ssd_bytes=0) for n in range(4))
COLD = Setting(
    nodes=NODES,
    models=(spec(0, 40 * GB, Whole(1), slots=8),),
    arrivals=arrivals([(0.0, 0)], output_tokens=200),
)
EARLIEST = recipes.serverlessllm_no_migration()
CHANCE = recipes.serverless()
HYDRA = with_(EARLIEST, placement=HydraServe(ttft_slo_s=10.0), upkeep=(Consolidate(),))


def test_hydraserve_gains_where_one_nic_is_too_slow_for_the_objective() -> None:
    mine, theirs = gains(COLD, HYDRA, CHANCE, lambda p: p.mean_ttft_s, by=3.0)
    assert mine.finished == theirs.finished == 1
    gains(COLD, HYDRA, EARLIEST, lambda p: p.mean_ttft_s, by=3.0)


def test_hydraserve_loses_where_cards_are_dear() -> None:
    """Four cards serve what one could: each request holds four times as many, and a second model
    finds none."""
    setting = Setting(
        nodes=tuple(a40(n, gpus=1, dram_bytes=0, ssd_bytes=0) for n in range(4)),
        models=tuple(spec(n, 40 * GB, Whole(1), slots=8) for n in range(4)),
        arrivals=tuple(arrival(n, 0.5 * n, n, 1500) for n in range(4)),
    )
    alone = with_(EARLIEST, placement=HydraServe(ttft_slo_s=10.0))
    loses(setting, alone, CHANCE, lambda p: p.mean_ttft_s)


def test_a_pipeline_keeps_a_pace_of_its_own() -> None:
    """Four stages decode like one card, and pay three hops a token."""
    paces = [A40.pace(COLD.models[0], 1, stages).step_s for stages in (1, 4)]
    assert paces[1] - paces[0] == pytest.approx(3e-3)


def test_hydraserve_by_hand_one_stage_goes_where_the_copy_lies() -> None:
    """DRAM on node 1: 2 s there, 9 s elsewhere; both objectives are met by one stage."""
    bench = Bench([node(0), node(1)], [model(0)], resident=[(0, 1, Tier.DRAM)])
    assert shape(HydraServe(ttft_slo_s=5.0), bench) == [(1, 80)]
