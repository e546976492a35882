"""The picture of a placement question: who is named, how they rank, what it costs to ask."""

import pytest

from fleet.domain import Place, Tier
from tests.sim.worlds import arrival, model, node, setup
from tests.traces.explained import explained, played
from traces.asked.placement_picture import MOST_CANDIDATES, Placement


def placement(nodes: int, policy: str, copies: dict[int, Tier]) -> Placement:
    """The placement of the first request of a model whose copies lie there."""
    resident = [(0, Place(node(where).id, tier)) for where, tier in copies.items()]
    start = setup([node(i) for i in range(nodes)], [model(0)], resident=resident)
    entries = played(start, policy, [arrival(0, 1.0)])
    (begun,) = explained(start, policy, entries)[0].starts
    assert begun.placement is not None
    return begun.placement


def test_nodes_rank_by_when_the_model_would_be_ready() -> None:
    """40 bytes: from DRAM at 40 a second, from SSD at 20, from the remote store at 10."""
    found = placement(3, "serverlessllm", {1: Tier.SSD, 2: Tier.DRAM})
    told = [(one.name, one.copy, one.load_s, one.rank, one.chosen) for one in found.candidates]
    assert told == [
        ("n2", "dram", 1.0, 1, True),
        ("n1", "ssd", 2.0, 2, False),
        ("n0", "remote", 4.0, 3, False),
    ]
    assert found.ready_at == pytest.approx(2.0)
    assert (found.policy, found.answer, found.waiting, found.more) == (
        "EarliestReady",
        "start",
        1,
        0,
    )


def test_a_random_choice_is_shown_beside_the_estimates_it_ignores() -> None:
    found = placement(3, "serverless", {1: Tier.SSD, 2: Tier.DRAM})
    assert found.policy == "RandomPlacement"
    assert [one.rank for one in found.candidates] == [1, 2, 3]
    (chosen,) = [one for one in found.candidates if one.chosen]
    assert found.ready_at == pytest.approx(1.0 + chosen.load_s)


def test_of_a_large_fleet_the_best_and_the_chosen_are_named() -> None:
    found = placement(40, "serverless", {7: Tier.SSD})
    assert len(found.candidates) == MOST_CANDIDATES
    assert found.more == 40 - MOST_CANDIDATES
    assert sum(one.chosen for one in found.candidates) == 1
    assert found.candidates[0].name == "n7"
