"""What an instance says of the adapters it could serve."""

from fleet.domain import AdapterId, ArtifactId, InstanceId, NodeId, Shard
from fleet.holders import Instance
from fleet.ledger import Cause
from fleet.pools import Stay
from tests.machines.fleets import MODELS

PART, LORA = 2, 5  # with one adapter slot, and with two
OURS, OTHER, COMING, ANOTHER = (AdapterId(ArtifactId(n)) for n in range(10, 14))


def instance() -> Instance:
    shards = (Shard(NodeId(0), (0,), 30),)
    return Instance(InstanceId(0), MODELS[PART], shards, Cause.LOADING, 0.0)


def test_a_free_slot_can_take_any_adapter() -> None:
    assert instance().can_take(OURS)


def test_an_adapter_on_its_way_in_is_as_good_as_there_and_fills_the_slot() -> None:
    ours = instance()
    ours.adapters.add(OURS, 1, 0.0)
    assert ours.can_take(OURS)
    assert not ours.has(OURS)
    assert not ours.can_take(OTHER)


def test_an_adapter_on_its_way_out_cannot_be_had_until_it_is_gone() -> None:
    ours = instance()
    entry = ours.adapters.add(OURS, 1, 0.0)
    entry.stay = Stay.HERE
    assert ours.can_take(OTHER), "the one that is there could leave"
    ours.adapters.going_out(entry)
    assert not ours.can_take(OURS)


def test_what_could_leave_is_no_room_while_a_slot_is_promised_to_another() -> None:
    """Two slots: one is given up for an adapter on its way, so the other must go as well."""
    two = Instance(InstanceId(0), MODELS[LORA], instance().shards, Cause.LOADING, 0.0)
    leaving, staying = (two.adapters.add(a, 1, 0.0) for a in (OURS, OTHER))
    leaving.stay = staying.stay = Stay.HERE
    two.adapters.going_out(leaving)
    two.adapters.add(COMING, 1, 0.0)
    assert not two.can_take(ANOTHER)
    two.adapters.remove(leaving)
    assert two.can_take(ANOTHER)
