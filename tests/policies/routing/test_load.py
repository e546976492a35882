"""Which instance serves, with adapters and without."""

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId
from fleet.holders import Instance
from policies.routing.affinity import AdapterAffinity
from policies.routing.load import LeastLoaded
from tests.policies.bench import Bench, adapter, model, node


def request(lora: int | None = None) -> Request:
    named = None if lora is None else AdapterId(ArtifactId(lora))
    return Request(RequestId(999), ModelId(ArtifactId(0)), named, 0.0, 10, 100)


class Fleet:
    """Instances of one model with four sequences and so many adapter slots each."""

    def __init__(self, instances: int, slots: int = 1) -> None:
        base = model(0, slots=4, adapters=slots)
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

    def routed(self, policy: LeastLoaded | AdapterAffinity, lora: int | None = None) -> int | None:
        instance = policy.route(request(lora), self.bench.view)
        return None if instance is None else self.instances.index(instance)


def test_the_least_loaded_instance_is_joined() -> None:
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


def test_affinity_takes_the_least_loaded_of_the_holders() -> None:
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
