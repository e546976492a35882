"""Who could serve: slots, adapters, and no more of them than asked for."""

from policies.routing.candidates import candidates, takes
from tests.policies.routing.test_load import Fleet, request


def listed(fleet: Fleet, lora: int | None = None, most: int = 64) -> list[int]:
    found = candidates(request(lora), fleet.bench.view, most)
    return [fleet.instances.index(i) for i in found]


def test_the_least_loaded_come_first_and_full_ones_not_at_all() -> None:
    fleet = Fleet(4).load(0, 4).load(1, 2).load(2, 1).load(3, 3)
    assert listed(fleet) == [2, 1, 3]
    assert listed(fleet, most=2) == [2, 1]


def test_holders_of_the_adapter_come_alone_and_others_where_no_holder_has_a_slot() -> None:
    fleet = Fleet(3).load(0, 3, 20).load(1, 1).load(2, 1, 21)
    assert listed(fleet, 20) == [0]
    assert takes(fleet.instances[0], request(20))
    assert not takes(fleet.instances[1], request(20))
    fleet.load(0, 1, 20)
    assert listed(fleet, 20) == [1]  # the slot of 2 is in use
    assert not takes(fleet.instances[0], request(20))


def test_nobody_could_serve_where_all_are_full() -> None:
    assert listed(Fleet(1).load(0, 4)) == []
    assert listed(Fleet(0)) == []
