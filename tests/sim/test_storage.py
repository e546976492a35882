"""Shelves, paths and loads of simulated nodes."""

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import REMOTE, ArtifactId, LinkSpec, NodeId, NodeSpec, Place, Shard, Tier
from sim.storage import NodeStorage, Shelf, Storage

GB = 10**9
A, B = ArtifactId(0), ArtifactId(1)


def node(number: int = 0, gpus: int = 4) -> NodeSpec:
    return NodeSpec(
        id=NodeId(number),
        name=f"n{number}",
        kind="A40",
        gpus=gpus,
        gpu_bytes=48 * GB,
        dram_bytes=100 * GB,
        ssd_bytes=200 * GB,
        links=LinkSpec(
            remote_bytes_per_s=1.25 * GB,
            ssd_bytes_per_s=5 * GB,
            pcie_bytes_per_s=25 * GB,
            peer_bytes_per_s=10 * GB,
        ),
    )


def fleet(nodes: int = 1, store_bytes_per_s: float | None = None) -> Storage:
    storage = Storage(simpy.Environment(), store_bytes_per_s)
    for number in range(nodes):
        storage.join(node(number))
    return storage


def names(storage: NodeStorage, source: Place, target: Place | int) -> list[str]:
    return [link.name for link in storage.path(source, target)]


def test_a_path_has_a_link_for_each_tier_it_crosses() -> None:
    here = NodeStorage(node())
    ssd, dram = Place(NodeId(0), Tier.SSD), Place(NodeId(0), Tier.DRAM)
    assert names(here, REMOTE, ssd) == ["n0/nic"]
    assert names(here, REMOTE, dram) == ["n0/nic"]
    assert names(here, REMOTE, 1) == ["n0/nic", "n0/pcie1"]
    assert names(here, ssd, dram) == ["n0/ssd"]
    assert names(here, ssd, 3) == ["n0/ssd", "n0/pcie3"]
    assert names(here, dram, 0) == ["n0/pcie0"]
    assert names(here, dram, ssd) == ["n0/ssd"]


def test_a_path_from_a_peer_crosses_its_disk_where_the_bytes_lie_there() -> None:
    here, peer = NodeStorage(node(0)), NodeStorage(node(1))
    from_disk = here.path(Place(NodeId(1), Tier.SSD), 0, peer)
    from_memory = here.path(Place(NodeId(1), Tier.DRAM), Place(NodeId(0), Tier.DRAM), peer)
    assert [link.name for link in from_disk] == ["n1/ssd", "n1/out", "n0/peer", "n0/pcie0"]
    assert [link.name for link in from_memory] == ["n1/out", "n0/peer"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Place(NodeId(0), Tier.DRAM), Place(NodeId(0), Tier.DRAM)),
        (Place(NodeId(0), Tier.SSD), Place(NodeId(0), Tier.SSD)),
        (Place(NodeId(0), Tier.REMOTE), Place(NodeId(0), Tier.SSD)),
        (Place(NodeId(1), Tier.SSD), Place(NodeId(0), Tier.SSD)),
    ],
)
def test_a_path_that_leads_nowhere_fails_the_run(source: Place, target: Place) -> None:
    with pytest.raises(AssertionError, match="n0: no "):
        NodeStorage(node()).path(source, target)


def test_two_loads_from_one_disk_share_it_and_two_from_memory_do_not_meet() -> None:
    storage, chunk = fleet(), 32e6
    env = storage.network.env
    ssd, dram = Place(NodeId(0), Tier.SSD), Place(NodeId(0), Tier.DRAM)
    shards = [Shard(NodeId(0), (gpu,), 0) for gpu in range(2)]
    from_disk = [storage.load(10 * GB, ssd, s, chunk_bytes=chunk)[0] for s in shards]
    assert env.run(from_disk[1]) == pytest.approx(2 * (10 * GB + chunk) / (5 * GB))
    from_memory = [storage.load(10 * GB, dram, s, chunk_bytes=chunk)[0] for s in shards]
    assert env.run(from_memory[1]) == pytest.approx(0.4)


def test_a_load_onto_several_cards_moves_an_equal_part_to_each_over_its_own_link() -> None:
    storage = fleet()
    shard = Shard(NodeId(0), (0, 1, 2, 3), 0)
    loads = storage.load(60 * GB, Place(NodeId(0), Tier.DRAM), shard, chunk_bytes=32e6)
    assert [load.nbytes for load in loads] == [15 * GB] * 4
    storage.network.env.run()
    assert storage.network.env.now == pytest.approx(15 / 25)


def test_the_remote_store_is_shared_by_all_nodes_where_it_has_a_bound() -> None:
    free, bound = fleet(4), fleet(4, store_bytes_per_s=2.5e9)
    for storage in (free, bound):
        for number in range(4):
            target = Place(NodeId(number), Tier.SSD)
            storage.fetch(10 * GB, REMOTE, target, chunk_bytes=32e6)
        storage.network.env.run()
    assert free.network.env.now == pytest.approx(8.0)
    assert bound.network.env.now == pytest.approx(16.0)


def test_a_peer_that_feeds_two_nodes_gives_each_half() -> None:
    storage = fleet(3)
    source = Place(NodeId(0), Tier.DRAM)
    for number in (1, 2):
        storage.fetch(10 * GB, source, Place(NodeId(number), Tier.DRAM), chunk_bytes=0)
    storage.network.env.run()
    assert storage.network.env.now == pytest.approx(2.0)


def test_a_lost_node_stops_what_it_receives_and_what_it_feeds() -> None:
    storage = fleet(3)
    to_lost = storage.fetch(GB, REMOTE, Place(NodeId(1), Tier.SSD), chunk_bytes=0)
    from_lost = storage.fetch(
        GB, Place(NodeId(1), Tier.DRAM), Place(NodeId(2), Tier.DRAM), chunk_bytes=0
    )
    spared = storage.fetch(GB, REMOTE, Place(NodeId(0), Tier.SSD), chunk_bytes=0)
    assert storage.lose(NodeId(1)) == [to_lost, from_lost]
    assert storage.network.env.run(spared) == pytest.approx(0.8)
    assert NodeId(1) not in storage.nodes


def test_the_remote_store_is_never_written() -> None:
    with pytest.raises(AssertionError, match="read, never written"):
        fleet().fetch(GB, Place(NodeId(0), Tier.SSD), REMOTE, chunk_bytes=0)


def test_a_shelf_counts_what_arrives_from_the_first_byte_and_shows_it_at_the_last() -> None:
    shelf: Shelf[ArtifactId] = Shelf("n0/dram", 10)
    shelf.expect(A, 6)
    assert A not in shelf
    assert list(shelf) == []
    assert shelf.free_bytes == 4
    shelf.arrived(A)
    assert A in shelf
    assert list(shelf) == [A]
    assert shelf.drop(A) == 6
    assert shelf.used_bytes == 0


def test_a_shelf_refuses_more_than_it_holds_and_what_was_never_there() -> None:
    shelf: Shelf[ArtifactId] = Shelf("n0/ssd", 10)
    shelf.put(A, 6)
    with pytest.raises(AssertionError, match="n0/ssd: 1 needs 5 bytes and 4 of 10 are free"):
        shelf.put(B, 5)
    with pytest.raises(AssertionError, match="put twice"):
        shelf.put(A, 1)
    with pytest.raises(AssertionError, match="does not lie there"):
        shelf.drop(B)
    with pytest.raises(AssertionError, match="not expected"):
        shelf.arrived(A)


def test_a_node_has_shelves_of_its_capacities() -> None:
    here = NodeStorage(node())
    assert here.shelf(Tier.SSD).capacity_bytes == 200 * GB
    assert here.shelf(Tier.DRAM).capacity_bytes == 100 * GB
    assert [card.capacity_bytes for card in here.cards] == [48 * GB] * 4
    with pytest.raises(AssertionError, match="GPU has no shelf"):
        here.shelf(Tier.GPU)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.booleans()), max_size=40))
def test_a_shelf_agrees_with_a_plain_dictionary(steps: list[tuple[int, int, bool]]) -> None:
    shelf: Shelf[int] = Shelf("any", 12)
    plain: dict[int, int] = {}
    for key, nbytes, add in steps:
        legal = (key not in plain and sum(plain.values()) + nbytes <= 12) if add else key in plain
        try:
            if add:
                shelf.put(key, nbytes)
            else:
                shelf.drop(key)
        except AssertionError:
            assert not legal
            continue
        assert legal
        if add:
            plain[key] = nbytes
        else:
            del plain[key]
        assert shelf.used_bytes == sum(plain.values()) <= 12
        assert sorted(shelf) == sorted(plain)
