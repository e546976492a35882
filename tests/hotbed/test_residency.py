"""Where copies lie at the start: no tier is over-committed, and each rule does what it says."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import (
    ArtifactId,
    LinkSpec,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    Tier,
    Whole,
)
from fleet.scenario import Residency
from hotbed.residency import resident

LINKS = LinkSpec(1e9, 1e9, 1e9, 1e9)


def node(number: int, ssd_bytes: int, dram_bytes: int = 0) -> NodeSpec:
    return NodeSpec(NodeId(number), f"n{number}", "k", 1, 100, dram_bytes, ssd_bytes, LINKS)


def model(number: int, weight_bytes: int) -> ModelSpec:
    return ModelSpec(ModelId(ArtifactId(number)), f"m{number}", weight_bytes, Whole(1))


def placed(
    rules: Residency, nodes: list[NodeSpec], models: list[ModelSpec]
) -> list[tuple[int, int]]:
    """(model, node) of SSD copies; lower numbers are asked for more."""
    uses = {ArtifactId(spec.id): 100 - spec.id for spec in models}
    copies = resident(rules, nodes, (models, []), uses)
    return [(artifact, place.node or 0) for artifact, place in copies]


def test_copies_go_around_the_nodes_most_asked_for_first() -> None:
    nodes, models = [node(i, 30) for i in range(2)], [model(i, 10) for i in range(3)]
    assert placed(Residency(ssd="round_robin"), nodes, models) == [
        (0, 0),
        (1, 1),
        (2, 0),
        (0, 1),
        (1, 0),
        (2, 1),
    ]


def test_every_model_has_a_copy_before_any_has_two() -> None:
    nodes, models = [node(i, 20) for i in range(3)], [model(i, 10) for i in range(5)]
    copies = placed(Residency(ssd="round_robin"), nodes, models)
    assert [artifact for artifact, _ in copies[:5]] == [0, 1, 2, 3, 4]
    assert copies[5:] == [(0, 2)]


def test_popular_fills_each_node_with_the_most_asked_for() -> None:
    nodes, models = [node(0, 25), node(1, 10)], [model(0, 10), model(1, 20), model(2, 10)]
    assert placed(Residency(ssd="popular"), nodes, models) == [(0, 0), (2, 0), (0, 1)]


def test_none_places_nothing_and_dram_is_filled_on_its_own() -> None:
    rules = Residency(ssd="none", dram="popular")
    copies = resident(rules, [node(0, 99, dram_bytes=10)], ([model(0, 10)], []), {})
    assert copies == ((0, Place(NodeId(0), Tier.DRAM)),)


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=4),
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.sampled_from(["round_robin", "popular"]),
)
def test_no_disk_is_over_committed_and_no_node_has_two_copies(
    sizes: list[int], weights: list[int], rule: str
) -> None:
    nodes = [node(i, size) for i, size in enumerate(sizes)]
    models = [model(i, weight) for i, weight in enumerate(weights)]
    copies = placed(Residency.model_validate({"ssd": rule}), nodes, models)
    assert max(Counter(copies).values(), default=1) == 1
    used = Counter[int]()
    for artifact, at in copies:
        used[at] += weights[artifact]
    assert all(used[i] <= size for i, size in enumerate(sizes))
    # What is left over fits nowhere.
    for artifact, weight in enumerate(weights):
        for at, size in enumerate(sizes):
            assert (artifact, at) in copies or weight > size - used[at]
