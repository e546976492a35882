"""Replicas by a plan: by hand, what a plan gives back, and a burst between two plans."""

from fleet.domain import Tier, Whole
from fleet.policy import Policy
from policies import recipes
from policies.keep_alive.idle_time import KeepForever
from policies.scaling.alpaserve import AlpaServeReplicas
from policies.scaling.queue import PerQueue
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrivals, gains, loses, with_


def test_alpaserve_by_hand_follows_its_plan_from_one_tick_to_the_next() -> None:
    """Model 1 has three times the requests of model 0; eight cards are shared out two and six."""
    bench = Bench([node(0, 8)], [model(0), model(1)])
    rule = AlpaServeReplicas(variant="ilp")
    zero, one = (bench.need(n).model.id for n in range(2))
    for number in (1, 1, 0, 1):
        bench.ask(number)
    assert (rule.wanted(zero, bench.view), rule.wanted(one, bench.view)) == (1, 1)  # queues only
    rule.tick(bench.view)
    assert (rule.wanted(zero, bench.view), rule.wanted(one, bench.view)) == (2, 6)
    bench.at(10_000.0)
    assert rule.wanted(one, bench.view) == 6
    rule.tick(bench.view)
    assert rule.wanted(one, bench.view) == 1  # forgotten, but somebody waits


KEPT = with_(recipes.serverlessllm_no_migration(), keep_alive=KeepForever())
PER_QUEUE = with_(KEPT, scaling=PerQueue())


def planned() -> Policy:
    """A plan is a run's own."""
    return with_(KEPT, scaling=AlpaServeReplicas(every_s=30.0))


ONE_MODEL = Setting(
    nodes=(a40(0), a40(1)),
    models=(spec(0, 13 * GB, Whole(1)),),
    resident=((0, 0, Tier.SSD), (0, 1, Tier.SSD)),
    arrivals=arrivals([(0.1 * n, 0) for n in range(8)] + [(40.0 * n, 0) for n in range(1, 12)]),
)


def test_alpaserve_gains_the_cards_that_a_rush_left_behind() -> None:
    """Eight at once, then one in 40 s: what a queue has started stays for ever, a plan stops it."""
    mine, theirs = gains(ONE_MODEL, planned(), PER_QUEUE, lambda p: p.gpu_s, by=1.5)
    assert mine.finished == theirs.finished == 19


def test_alpaserve_loses_where_a_burst_comes_between_two_plans() -> None:
    """Static between replans: the rush shares one instance with a single slot until the next."""
    loses(ONE_MODEL, planned(), PER_QUEUE, lambda p: p.p99_ttft_s, by=1.5)
