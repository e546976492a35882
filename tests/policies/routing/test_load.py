"""Which instance serves by the number of requests, with adapters and without."""

from typing import Any

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId
from fleet.holders import Instance
from fleet.policy import Routing
from fleet.streams import Streams
from policies.routing.affinity import AdapterAffinity
from policies.routing.load import LeastLoaded, PowerOfTwo
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import gains, loses
from tests.policies.warm import Row, poisson, replicas, warm


def request(lora: int | None = None) -> Request:
    named = None if lora is None else AdapterId(ArtifactId(lora))
    return Request(RequestId(999), ModelId(ArtifactId(0)), named, 0.0, 10, 100)


class Fleet:
    """Instances of one model with four sequences and so many adapter slots each."""

    def __init__(self, instances: int, slots: int = 1, **of_model: Any) -> None:
        base = model(0, slots=4, adapters=slots, **of_model)
        loras = [adapter(n, 0) for n in (20, 21, 22)]
        self.bench = Bench([node(0, instances)], [base], adapters=loras)
        self.instances = [self._run() for _ in range(instances)]

    def _run(self) -> Instance:
        instance = self.bench.run(0, 0)
        assert instance is not None
        return instance

    def load(self, number: int, requests: int, lora: int | None = None) -> "Fleet":
        self.bench.aim.at = self.instances[number]
        for _ in range(requests):
            self.bench.finish(self.bench.ask(0, adapter=lora))
        self.bench.aim.at = None
        return self

    def routed(self, policy: Routing, lora: int | None = None) -> int | None:
        instance = policy.route(request(lora), self.bench.view)
        return None if instance is None else self.instances.index(instance)


def test_least_loaded_by_hand_joins_the_instance_with_the_fewest_requests() -> None:
    fleet = Fleet(3).load(0, 2).load(1, 1).load(2, 2)
    assert fleet.routed(LeastLoaded()) == 1
    assert fleet.routed(AdapterAffinity()) == 1


def test_nobody_is_joined_when_all_are_full() -> None:
    fleet = Fleet(2).load(0, 4).load(1, 4)
    assert fleet.routed(LeastLoaded()) is None
    assert fleet.routed(AdapterAffinity(), 20) is None
    assert Fleet(0).routed(LeastLoaded()) is None


def test_least_loaded_does_not_care_where_an_adapter_is() -> None:
    fleet = Fleet(2, slots=2).load(0, 1, 20)
    assert fleet.routed(LeastLoaded(), 20) == 1
    assert fleet.routed(AdapterAffinity(), 20) == 0


def test_an_instance_whose_adapter_slots_are_in_use_is_passed_over() -> None:
    fleet = Fleet(2).load(0, 1, 20).load(1, 2)
    assert fleet.routed(LeastLoaded(), 21) == 1
    assert fleet.routed(LeastLoaded(), 20) == 0


def test_an_adapter_waits_when_every_slot_is_in_use() -> None:
    fleet = Fleet(2).load(0, 1, 20).load(1, 1, 21)
    assert fleet.routed(LeastLoaded(), 22) is None
    assert fleet.routed(AdapterAffinity(), 22) is None


def test_power_of_two_by_hand_takes_the_lesser_load_of_the_two_drawn() -> None:
    """Loads 0 to 3; which two the stream draws is repeated here, from the run's seed."""
    fleet = Fleet(4)
    for number in range(4):
        fleet.load(number, number)
    drawn = Streams(0).named("policy/power_of_two")
    for _ in range(20):
        assert fleet.routed(PowerOfTwo()) == min(drawn.sample(range(4), 2))


def test_power_of_two_with_as_many_choices_as_instances_takes_the_least_loaded() -> None:
    fleet = Fleet(3).load(0, 2).load(1, 1).load(2, 3)
    assert {fleet.routed(PowerOfTwo(choices=3)) for _ in range(10)} == {1}


def test_power_of_two_passes_over_full_instances_and_those_without_the_adapter() -> None:
    fleet = Fleet(4).load(0, 4).load(1, 4).load(2, 3, 20).load(3, 3, 21)
    for _ in range(10):
        assert fleet.routed(PowerOfTwo(), 20) == 2
        assert fleet.routed(PowerOfTwo()) in {2, 3}
    assert fleet.load(2, 1, 20).load(3, 1, 21).routed(PowerOfTwo()) is None


# In the simulator


def in_turn(number: int) -> list[Row]:
    """Long prompts and short ones in turn, five a second."""
    long: Row = (0.0, 30, {"prompt_tokens": 1000})
    short: Row = (0.0, 100, {"prompt_tokens": 50})
    return [(i * 0.2, *(short if i % 2 else long)[1:]) for i in range(number)]


def test_power_of_two_gains_where_the_strict_order_falls_in_step_with_the_load() -> None:
    """Two instances, long and short prompts in turn: equal counts send every long prompt to one
    instance, whose KV cache then overflows. Ties broken by chance do not."""
    setting = warm(in_turn(120), 2, kv_bytes_per_token=4_000_000)
    chance, strict = replicas(2, routing=PowerOfTwo()), replicas(2, routing=LeastLoaded())
    gains(setting, chance, strict, lambda p: p.p99_ttft_s, by=1.5)


def test_power_of_two_loses_where_loads_are_known_exactly() -> None:
    """Random arrivals at eight instances: two looks miss the idle one that eight would find."""
    rows: list[Row] = [(at, 30, {"prompt_tokens": 1000}) for at in poisson(8.0, 200)]
    two, least = replicas(8, routing=PowerOfTwo()), replicas(8, routing=LeastLoaded())
    loses(warm(rows, 8), two, least, lambda p: p.p99_ttft_s, by=1.5)
