"""Replicas go where the plan has them: by hand, with a good plan, and with one that is blind."""

from fleet.domain import Tier, Whole
from fleet.policy import Policy
from policies import recipes
from policies.placement.alpaserve import AlpaServePlacement
from policies.room.stopping import NoRoom
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrival, arrivals, gains, loses, with_
from tests.policies.placement.test_earliest import ANYWHERE, starts


def test_alpaserve_by_hand_fills_the_planned_node_first_and_then_the_earliest() -> None:
    """Two requests in a minute on one slot of 12.8 s: one replica is planned, beside the copy. Once
    it is there, the next one starts where it is ready first."""
    bench = Bench([node(0, 2), node(1, 2)], [model(0)], resident=[(0, 1, Tier.SSD)])
    bench.state.nodes.loading_until[1] = 20.0  # the earliest start would be on node 0
    for _ in range(2):
        bench.ask(0)
    rule = AlpaServePlacement(variant="greedy", least_gain=0.5)
    placed = rule.place(bench.need(0), bench.view, NoRoom())
    assert rule._plan == {0: {1: 1}}
    assert starts(placed).shards[0].node == 1
    assert placed is not None
    bench.run(0, 1)
    bench.state.nodes.loading_until[1] = 20.0
    assert starts(rule.place(bench.need(0), bench.view, NoRoom())).shards[0].node == 0


def test_alpaserve_by_hand_plans_anew_after_its_period() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    rule = AlpaServePlacement(every_s=60.0, least_gain=0.0)
    bench.ask(0)
    rule.place(bench.need(0), bench.view, NoRoom())
    before = dict(rule._plan)
    bench.at(59.0).ask(1)
    rule.place(bench.need(1), bench.view, NoRoom())
    assert rule._plan == before
    bench.at(60.0)
    rule.place(bench.need(1), bench.view, NoRoom())
    assert set(rule._plan) == {1}  # asked for a second ago; model 0 a minute ago


def planned() -> Policy:
    """A plan is a run's own."""
    return with_(recipes.serverlessllm_no_migration(), placement=AlpaServePlacement())


def test_alpaserve_gains_where_each_model_lies_on_a_node_of_its_own() -> None:
    setting = Setting(
        nodes=tuple(a40(n) for n in range(4)),
        models=tuple(spec(n, 40 * GB, Whole(1)) for n in range(4)),
        resident=tuple((n, n, Tier.DRAM) for n in range(4)),
        arrivals=arrivals([(60.0 * n, n % 4) for n in range(8)]),
    )
    gains(setting, planned(), ANYWHERE, lambda p: p.mean_ttft_s, by=1.5)


def test_alpaserve_loses_where_a_plan_sends_every_load_to_one_disk() -> None:
    """Both SSDs hold all four models and a plan knows no queues: it fills the first node, whose
    loads of 8 s then follow one another. Chance uses both disks."""
    singly = [(25.0 * n, n) for n in range(4)]
    at_once = [(130.0 + 0.1 * n, n) for n in range(4)]
    setting = Setting(
        nodes=tuple(a40(n, dram_bytes=0) for n in range(2)),
        models=tuple(spec(n, 40 * GB, Whole(1)) for n in range(4)),
        resident=tuple((n, on, Tier.SSD) for n in range(4) for on in range(2)),
        arrivals=tuple(
            arrival(i, at, number, 20) for i, (at, number) in enumerate([*singly, *at_once])
        ),
    )
    loses(setting, planned(), ANYWHERE, lambda p: p.mean_ttft_s)
