"""How many instances, worked out by hand."""

import pytest

from fleet.commands import StartInstance
from fleet.domain import REMOTE, ArtifactId, ModelId, NodeId, Shard
from fleet.plans import NOTHING, UNNUMBERED, planned
from policies.scaling.queue import Bounded, FixedReplicas, PerQueue
from tests.policies.bench import Bench, adapter, model, node

M = ModelId(ArtifactId(0))


def queued(requests: int, *, starting: int = 0, ready: int = 0, slots: int = 2) -> Bench:
    """Full ready instances, instances that load, and requests that wait."""
    bench = Bench([node(0, 8)], [model(0, slots=slots)])
    for _ in range(ready):
        bench.run(0, 0, requests=slots)
    for gpu in range(ready, ready + starting):
        shard = Shard(NodeId(0), (gpu,), 80)
        start = StartInstance(UNNUMBERED, planned(0), M, (shard,), (REMOTE,))
        bench.begin(NOTHING.then(start, 9.0))
    for _ in range(requests):
        bench.ask(0)
    return bench


@pytest.mark.parametrize(
    ("requests", "starting", "ready", "wanted"),
    [
        (0, 0, 0, 0),
        (1, 0, 0, 1),
        (2, 0, 0, 1),
        (3, 0, 0, 2),  # two a piece
        (3, 1, 0, 2),  # one starting covers two
        (2, 1, 0, 1),
        (2, 2, 0, 2),
        (1, 0, 3, 4),
        (5, 1, 3, 6),  # 5 - 2 leaves 3: two more than the four there are
        (0, 1, 3, 4),  # never fewer
    ],
)
def test_an_instance_more_for_each_instances_worth_of_requests(
    requests: int, starting: int, ready: int, wanted: int
) -> None:
    bench = queued(requests, starting=starting, ready=ready)
    assert PerQueue().wanted(M, bench.view) == wanted


def test_an_instances_worth_may_be_set() -> None:
    assert PerQueue(per_instance=5).wanted(M, queued(6).view) == 2
    assert PerQueue(per_instance=1).wanted(M, queued(6).view) == 6


def test_a_burst_is_met_at_once() -> None:
    """Released ServerlessLLM starts one instance a second."""
    assert PerQueue().wanted(M, queued(40).view) == 20


def lora_bench(slots: int) -> Bench:
    base = model(0, slots=4, adapters=slots)
    return Bench([node(0, 2)], [base], adapters=[adapter(n, 0) for n in (20, 21)])


def test_a_request_that_waits_for_its_adapter_beside_free_slots_needs_no_instance() -> None:
    bench = lora_bench(1)
    bench.aim.at = bench.run(0, 0)
    attach = bench.ask(0, adapter=20)  # waits for the attach
    assert bench.view.queued(M) == 1
    assert PerQueue().wanted(M, bench.view) == 1
    bench.finish(attach)
    assert bench.view.queued(M) == 0


def test_a_request_whose_adapter_finds_every_slot_in_use_needs_one() -> None:
    bench = lora_bench(1)
    bench.aim.at = bench.run(0, 0)
    bench.finish(bench.ask(0, adapter=20))
    bench.aim.at = None
    bench.ask(0, adapter=21)
    assert PerQueue().wanted(M, bench.view) == 2


def test_more_requests_than_free_slots_need_one_even_with_adapters() -> None:
    bench = lora_bench(2)
    bench.run(0, 0)
    for _ in range(5):
        bench.ask(0, adapter=20)
    assert PerQueue().wanted(M, bench.view) == 2


def test_fixed_replicas_look_at_nothing() -> None:
    assert FixedReplicas(3).wanted(M, queued(0).view) == 3
    assert FixedReplicas(3).wanted(M, queued(99, ready=5).view) == 3


@pytest.mark.parametrize(("requests", "wanted"), [(0, 2), (3, 2), (9, 4), (50, 4)])
def test_bounds_hold_on_both_sides(requests: int, wanted: int) -> None:
    bounded = Bounded(PerQueue(), least=2, most=4)
    assert bounded.wanted(M, queued(requests).view) == wanted


def test_the_upper_bound_wins_where_they_cross() -> None:
    assert Bounded(PerQueue(), least=5, most=3).wanted(M, queued(0).view) == 3
