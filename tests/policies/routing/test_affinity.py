"""Which instance serves a request with an adapter."""

import random

from fleet.domain import AdapterId, AdapterSpec, ArtifactId, ModelId
from policies.routing.affinity import AdapterAffinity
from policies.routing.load import LeastLoaded
from tests.policies.duels import Setting, gains, loses
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, poisson, replicas, warm


def test_adapter_affinity_by_hand_takes_the_least_loaded_of_the_holders() -> None:
    fleet = Fleet(3).load(0, 2, 20).load(1, 1, 20)
    assert fleet.routed(AdapterAffinity(), 20) == 1


def test_affinity_spills_when_the_holder_is_busy() -> None:
    """Three of four slots are 75 %."""
    fleet = Fleet(2).load(0, 2, 20)
    assert fleet.routed(AdapterAffinity(0.75), 20) == 0
    fleet.load(0, 1, 20)
    assert fleet.routed(AdapterAffinity(0.75), 20) == 1
    assert fleet.routed(AdapterAffinity(1.0), 20) == 0


def test_affinity_does_not_spill_to_an_instance_as_busy_or_without_a_slot() -> None:
    assert Fleet(2).load(0, 3, 20).load(1, 3).routed(AdapterAffinity(), 20) == 0
    assert Fleet(2).load(0, 3, 20).load(1, 1, 21).routed(AdapterAffinity(), 20) == 0


def test_a_busy_holder_goes_on_serving_until_the_adapter_has_arrived_elsewhere() -> None:
    fleet = Fleet(2).load(0, 3, 20)
    fleet.bench.aim.at = fleet.instances[1]
    attach = fleet.bench.ask(0, adapter=20)
    assert not fleet.instances[1].has(AdapterId(ArtifactId(20)))
    assert fleet.routed(AdapterAffinity(), 20) == 0
    fleet.bench.aim.at = None
    fleet.bench.finish(attach)
    assert fleet.routed(AdapterAffinity(), 20) == 1


def test_a_full_holder_spills_to_whoever_has_a_slot() -> None:
    assert Fleet(2).load(0, 4, 20).load(1, 3).routed(AdapterAffinity(), 20) == 1


def adapted(adapters: int, per_s: float, slots: int = 4) -> Setting:
    """Requests at random for so many adapters of 1 GB, of which an instance can hold two."""
    rng = random.Random(0)
    specs = tuple(
        AdapterSpec(AdapterId(ArtifactId(n)), f"a{n}", ModelId(ArtifactId(0)), 10**9, 16)
        for n in range(20, 20 + adapters)
    )
    rows: list[Row] = [
        (at, 30, {"adapter": rng.choice(specs).id, "prompt_tokens": 100})
        for at in poisson(per_s, 150)
    ]
    return warm(rows, 4, slots=slots, max_adapters=2, adapters=specs)


AFFINE = replicas(4, routing=AdapterAffinity())
LEAST = replicas(4, routing=LeastLoaded())


def test_adapter_affinity_gains_where_adapters_fit_only_together() -> None:
    """Eight adapters, eight slots in all: whoever looks at load alone attaches and detaches."""
    ours, theirs = gains(adapted(8, 3.0), AFFINE, LEAST, lambda p: p.mean_ttft_s, by=1.05)
    assert ours.commands["AttachAdapter"] < theirs.commands["AttachAdapter"]


def test_adapter_affinity_loses_where_one_adapter_is_asked_for_in_bursts() -> None:
    """One adapter: its holder fills up to three quarters of its 16 slots before the next instance
    gets a copy, while others idle."""
    loses(adapted(1, 8.0, slots=16), AFFINE, LEAST, lambda p: p.mean_ttft_s, by=1.05)
