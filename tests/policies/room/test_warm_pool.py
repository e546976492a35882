"""FaasCache's pool of idle instances: by hand and in the simulator."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fleet.commands import StopInstance
from fleet.domain import ArtifactId, InstanceId, ModelId, NodeId, Tier, Whole
from fleet.events import InstanceLost, NodeLost
from fleet.holders import Instance
from fleet.plans import UNNUMBERED, Step, Steps
from policies.keep_alive.idle_time import KeepForever
from policies.room.stopping import EvictIdle
from policies.room.warm_pool import EvictGreedyDual, WarmPool
from tests.policies.bench import Aimed, Bench, model, node, part, still
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrivals, gains, loses
from tests.policies.keep_alive.idling import end, kept, mean_ttft_s
from tests.policies.retention.caches import SHIFT, WEAVE

GIB = 2**30


def warm(uses: Sequence[int]) -> tuple[Bench, EvictGreedyDual, list[Instance]]:
    """Cards of one node, each with an idle instance of its model, used so often."""
    rule = EvictGreedyDual()
    specs = [model(n, slots=1) for n in range(len(uses) + 1)]
    bench = Bench([node(0, len(uses))], specs, policy=replace(still(), room=rule, routing=Aimed()))
    aim = bench.controller.policy.routing
    assert isinstance(aim, Aimed)
    bench.aim = aim
    instances = []
    for number, times in enumerate(uses):
        instance = bench.run(number, 0)
        assert instance is not None
        instances.append(instance)
        bench.aim.at = instance
        for _ in range(times):
            bench.ask(number)
            end(bench, bench.requests - 1)
        bench.aim.at = None
    return bench, rule, instances


def stopped(bench: Bench, rule: EvictGreedyDual, number: int) -> list[int]:
    spec = bench.view.model(ModelId(ArtifactId(number)))
    clearing = rule.make(NodeId(0), spec, bench.view)
    assert clearing is not None
    commands = [s.command for s in clearing.plan.steps]
    return [int(c.instance) for c in commands if isinstance(c, StopInstance)]


def stop(bench: Bench, instance: Instance) -> None:
    bench.finish(bench.begin(Steps((Step(StopInstance(UNNUMBERED, instance.id)),), 0.0)))


def test_evict_greedy_dual_by_hand_least_uses_times_cost_over_size() -> None:
    """Each loads in 2 s from DRAM and holds 80 bytes: H is uses * 2 / (80 / GiB) at first."""
    bench, rule, instances = warm((3, 1, 2))
    each = 2.0 / (80 / GIB)
    found = [rule._pool.priority(i, bench.view) for i in instances]
    assert found == pytest.approx([3 * each, each, 2 * each])
    assert stopped(bench, rule, 3) == [instances[1].id]
    stop(bench, instances[1])
    assert rule._pool.clock == pytest.approx(each)
    bench.run(1, 0)  # it comes again: its uses were forgotten with its last instance
    assert rule._pool.uses == {0: 3, 2: 2}


def test_the_clock_makes_what_was_popular_leave_in_the_end() -> None:
    """4 uses outlive three evictions of what was used once; then both have the same H."""
    bench, rule, instances = warm((4, 1))
    once = instances[1]
    for _ in range(3):
        assert stopped(bench, rule, 2) == [once.id]
        stop(bench, once)
        again = bench.run(1, 0)
        assert again is not None
        once = again
        bench.aim.at = once
        bench.ask(1)
        end(bench, bench.requests - 1)
        bench.aim.at = None
    assert stopped(bench, rule, 2) == [instances[0].id]


def test_of_the_sets_that_free_enough_the_one_of_least_total_goes() -> None:
    bench, rule, instances = warm((3, 1, 2))
    bench.state.serving[ModelId(ArtifactId(3))].spec = model(3, Whole(2))
    assert set(stopped(bench, rule, 3)) == {instances[1].id, instances[2].id}


def test_who_is_busy_stays_and_a_free_card_costs_nothing() -> None:
    bench, rule, instances = warm((1, 2))
    bench.aim.at = instances[0]
    bench.ask(0)
    assert stopped(bench, rule, 2) == [instances[1].id]
    free = Bench([node(0, 1)], [model(0, part(40)), model(1)])
    assert not EvictGreedyDual().reach(free.view.model(ModelId(ArtifactId(1))), free.view).any()


def test_lost_instances_are_forgotten() -> None:
    bench, rule, instances = warm((1, 1))
    bench.controller.handle(InstanceLost(bench.state.now, instances[0].id, "crash"))
    assert rule._pool.stamps.keys() == {instances[1].id}
    bench.controller.handle(NodeLost(bench.state.now, NodeId(0)))
    pool = rule._pool
    assert (pool.stamps, pool.uses, pool.model_of) == ({}, {}, {})
    assert pool.clock == 0.0  # nobody was evicted


def test_the_uses_of_a_model_are_those_of_all_its_instances() -> None:
    bench, _, (instance, other) = warm((1, 1))
    pool = WarmPool()
    pool.used(instance)
    pool.used(instance)
    pool.model_of[InstanceId(99)] = instance.model.id
    pool.stamps[InstanceId(99)] = 0.0
    pool.gone(instance.id)
    assert pool.uses == {instance.model.id: 2}
    pool.gone(InstanceId(99))
    assert pool.uses == {}
    assert pool.priority(other, bench.view) == 0.0


OURS = replace(kept(KeepForever()), room=EvictGreedyDual())
SIMPLE = replace(kept(KeepForever()), room=EvictIdle())


def on_cards(string: Sequence[int]) -> Setting:
    """A model every minute, three cards, all copies on the SSD; nobody stops by itself."""
    numbers = sorted(set(string))
    models = tuple(spec(n, 13 * GB, Whole(1)) for n in numbers)
    resident = tuple((n, 0, Tier.SSD) for n in numbers)
    rows = [(60.0 * i, n) for i, n in enumerate(string)]
    asked = arrivals(rows, output_tokens=20)
    return Setting((a40(0, gpus=3),), models, asked, resident=resident)


def test_evict_greedy_dual_gains_where_two_models_are_asked_for_among_others() -> None:
    """By the rate of the last minute nobody is more likely to be missed than another."""
    gains(on_cards(WEAVE), OURS, SIMPLE, mean_ttft_s, by=1.1)


def test_evict_greedy_dual_loses_where_what_was_popular_is_asked_for_no_more() -> None:
    """Four uses hold a card until the clock has passed them."""
    loses(on_cards(SHIFT), OURS, SIMPLE, mean_ttft_s, by=1.1)
