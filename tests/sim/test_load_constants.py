"""What a load takes besides its bytes, and what a link loses when several loads share it."""

import random
import statistics

import msgspec
import pytest
import simpy

from fleet import events as e
from fleet.domain import InstanceId, NodeId, Place, Shard, Tier
from sim.faults import LoadOutcome
from sim.links import Link, Network, TransferError
from sim.loads import End, Load, Loads, Work
from sim.profiles import Profile, TierLoad
from sim.storage import Storage
from tests.sim.by_hand import Hand, shard
from tests.sim.worlds import KIND, PHASE_S, model, node, profile, setup, world

SSD = Place(NodeId(0), Tier.SSD)


def slow(base_s: float, loss: float = 0.0, cv: float = 0.0) -> Profile:
    """The SSD's 20 bytes a second in full, with a constant."""
    ssd = TierLoad(source="made up", efficiency=1.0, cv=cv, base_s=base_s, sharing_loss=loss)
    own = profile()
    return msgspec.structs.replace(own, loads=msgspec.structs.replace(own.loads, ssd=ssd))


def ends(
    own: Profile, loads: int, outcome: LoadOutcome | None = None, seed: int | None = None
) -> list[tuple[float, End]]:
    """When and how loads of 40 bytes end that begin together on as many cards."""
    env = simpy.Environment()
    noise = None if seed is None else random.Random(seed)
    loader = Loads(env, Storage(env), {KIND: own}, noise)
    loader.join(node(0, loads))
    ended: list[tuple[float, End]] = []

    def one(gpu: int) -> Work:
        load = Load(NodeId(0)) if outcome is None else Load(NodeId(0), outcome=outcome)
        to = Shard(NodeId(0), (gpu,), 0)
        end = yield from loader.carry(load, lambda: loader.to_cards(load, 40, SSD, to))
        ended.append((env.now, end))

    for gpu in range(loads):
        env.process(one(gpu))
    env.run()
    return ended


def test_a_load_takes_its_bytes_and_the_constant_of_its_tier() -> None:
    [(bytes_s, _)], [(both_s, end)] = ends(slow(0.0), 1), ends(slow(0.75), 1)
    assert bytes_s == pytest.approx(40 / 20)
    assert both_s == pytest.approx(40 / 20 + 0.75)
    assert end is End.DONE


def test_a_load_that_breaks_off_does_not_wait_for_the_constant() -> None:
    [(at, end)] = ends(slow(0.75), 1, LoadOutcome(fails_after_fraction=0.5))
    assert at == pytest.approx(1.0)
    assert end is End.FAILED


def test_a_slow_load_is_slow_in_its_constant_too() -> None:
    [(at, _)] = ends(slow(0.75), 1, LoadOutcome(slow_factor=2.0))
    assert at == pytest.approx(2 * (2 + 0.75))


def test_the_constant_spreads_as_its_tier_does() -> None:
    own = slow(1.0, cv=0.2)
    drawn = [own.load_base_s(Tier.SSD, random.Random(seed)) for seed in range(2000)]
    assert statistics.fmean(drawn) == pytest.approx(1.0, rel=0.02)
    assert statistics.stdev(drawn) == pytest.approx(0.2, rel=0.1)
    assert own.load_base_s(Tier.SSD) == 1.0
    assert own.load_base_s(Tier.REMOTE, random.Random(1)) == 0.0


def test_loads_that_share_a_link_lose_what_the_profile_says() -> None:
    assert [at for at, _ in ends(slow(0.0), 4)] == [pytest.approx(4 * 2.0)] * 4
    assert [at for at, _ in ends(slow(0.0, loss=0.1), 4)] == [pytest.approx(4 * 2.0 * 1.3)] * 4
    assert [at for at, _ in ends(slow(0.0, loss=0.1), 1)] == [pytest.approx(2.0)]


def test_a_link_that_is_left_gives_back_what_sharing_cost() -> None:
    env = simpy.Environment()
    net, link = Network(env), Link("ssd", 10.0, sharing_loss=0.25)
    long, short = net.transfer(40, [link]), net.transfer(20, [link])
    assert env.run(short) == pytest.approx(20 / 4)
    assert env.run(long) == pytest.approx(20 / 4 + 20 / 10)


@pytest.mark.parametrize("loss", [-0.1, float("nan"), float("inf")])
def test_a_loss_that_cannot_be_is_refused(loss: float) -> None:
    with pytest.raises(TransferError, match=r"link ssd: sharing_loss is .*; it must be finite"):
        Link("ssd", 1.0, sharing_loss=loss)


def test_an_instance_is_ready_after_the_constant_of_where_its_weights_came_from() -> None:
    own = msgspec.structs.replace(world(), profiles={KIND: slow(0.75)})
    play = Hand(setup([node(0)], [model(0)], resident=[(0, SSD)]), own)
    far = play.start(0.0, InstanceId(0), shards=(shard(0, 0),))
    near = play.start(10.0, InstanceId(1), source=SSD, shards=(shard(0, 1),))
    play.play(30.0)
    remote, ssd = play.answer(far), play.answer(near)
    assert isinstance(remote, e.InstanceReady)
    assert isinstance(ssd, e.InstanceReady)
    assert remote.load_s == pytest.approx(PHASE_S + 4.0)
    assert ssd.load_s == pytest.approx(PHASE_S + 2.0 + 0.75)
    assert dict(ssd.phases)["weights"] == pytest.approx(2.75)
