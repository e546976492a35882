"""Claims on cards: what is promised passes from hand to hand, and never through the free store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cards import Claim, Nodes, pick
from fleet.domain import NodeId, Part, Shard, Whole
from tests.machines.fleets import CARD_BYTES, node

HERE = NodeId(0)


def on(*gpus: int, gpu_bytes: int = CARD_BYTES) -> tuple[Shard, ...]:
    return (Shard(HERE, gpus, gpu_bytes),)


def taken(nodes: Nodes, shards: tuple[Shard, ...]) -> Claim:
    claim = Claim(shards)
    nodes.claim(claim, 0.0)
    return claim


def test_a_claim_takes_what_is_free_and_is_owed_the_rest() -> None:
    nodes = Nodes([node(0, 2)])
    victim = taken(nodes, on(0))
    claim = taken(nodes, on(0, 1))
    assert claim.held_bytes == CARD_BYTES
    assert claim.missing == {(HERE, 0): CARD_BYTES}
    assert nodes.free_bytes[0] == [0, 0]
    nodes.release(victim, claim, 0.0)
    assert not claim.missing
    assert nodes.free_bytes[0] == [0, 0], "nothing passed through the free store"


def test_what_is_promised_to_a_claim_that_is_over_is_free() -> None:
    nodes = Nodes([node(0, 1)])
    victim = taken(nodes, on(0))
    claim = taken(nodes, on(0))
    nodes.release(claim, None, 0.0)
    nodes.release(victim, claim, 0.0)
    assert nodes.free_bytes[0] == [CARD_BYTES]


def test_a_victim_with_more_than_is_owed_frees_the_rest() -> None:
    nodes = Nodes([node(0, 2)])
    victim = taken(nodes, on(0, 1))
    claim = taken(nodes, on(1))
    nodes.release(victim, claim, 0.0)
    assert nodes.free_bytes[0] == [CARD_BYTES, 0]
    assert nodes.free_gpus[0] == 1


def test_two_parts_of_a_card_pay_one_claim_for_the_whole() -> None:
    nodes = Nodes([node(0, 1)])
    parts = [taken(nodes, on(0, gpu_bytes=30)), taken(nodes, on(0, gpu_bytes=50))]
    claim = taken(nodes, on(0))
    nodes.release(parts[0], claim, 0.0)
    assert claim.missing == {(HERE, 0): 50}
    nodes.release(parts[1], claim, 0.0)
    assert claim.held_bytes == CARD_BYTES


def test_a_part_goes_to_the_fullest_card_that_has_room() -> None:
    spec = node(0, 3)
    assert pick(spec, [80, 40, 30], Part(30)) == Shard(HERE, (2,), 30)
    assert pick(spec, [80, 40, 30], Part(35)) == Shard(HERE, (1,), 35)
    assert pick(spec, [20, 10, 0], Part(35)) is None


def test_whole_cards_are_wholly_free_ones_of_one_node() -> None:
    spec = node(0, 3)
    assert pick(spec, [80, 79, 80], Whole(2)) == Shard(HERE, (0, 2), CARD_BYTES)
    assert pick(spec, [80, 79, 80], Whole(3)) is None


def test_a_lost_node_fits_nothing() -> None:
    nodes = Nodes([node(0, 2), node(1, 1)])
    nodes.lose(HERE)
    assert list(nodes.fits(Whole(1))) == [False, True]
    assert list(nodes.fits(Part(1))) == [False, True]
    assert nodes.pick(HERE, Whole(1)) is None


def test_nodes_that_join_have_the_next_ids() -> None:
    nodes = Nodes([node(0)])
    nodes.extend([node(1, 4)])
    assert list(nodes.free_gpus) == [2, 4]
    with pytest.raises(AssertionError, match="not the next one"):
        nodes.extend([node(3)])


@given(
    st.lists(
        st.one_of(st.integers(1, 3).map(Whole), st.integers(1, CARD_BYTES).map(Part)), max_size=12
    ),
    st.data(),
)
def test_the_columns_say_what_the_cards_say(
    shares: list[Whole | Part], data: st.DataObject
) -> None:
    nodes = Nodes([node(0, 3), node(1, 2)])
    held: list[Claim] = []
    for share in shares:
        gone = data.draw(st.integers(0, 2 * len(held)))
        if gone < len(held):
            nodes.release(held.pop(gone), None, 0.0)
        for spec in nodes.specs:
            shard = nodes.pick(spec.id, share)
            assert nodes.fits(share)[spec.id] == (shard is not None)
        found = (nodes.pick(spec.id, share) for spec in nodes.specs)
        chosen = next((s for s in found if s is not None), None)
        if chosen is not None:
            held.append(taken(nodes, (chosen,)))
        used = sum(claim.held_bytes for claim in held)
        assert used + sum(map(sum, nodes.free_bytes)) == 5 * CARD_BYTES
        assert nodes.held.held_bytes == used
