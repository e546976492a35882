"""Where copies lie when a run begins: bytes to tiers of nodes by a scenario's rule.

It knows sizes and how often each artifact is asked for; it knows neither requests nor policies.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from fleet.domain import AdapterSpec, ArtifactId, ModelSpec, NodeId, NodeSpec, Place, Tier
from fleet.scenario import Residency, ScenarioError

Artifact: TypeAlias = ModelSpec | AdapterSpec
Copy: TypeAlias = tuple[ArtifactId, Place]
#: Free bytes by node, changed as copies are placed.
Free: TypeAlias = list[int]
Placed: TypeAlias = list[tuple[ArtifactId, int]]


def resident(
    rules: Residency,
    nodes: Sequence[NodeSpec],
    artifacts: tuple[Sequence[ModelSpec], Sequence[AdapterSpec]],
    uses: Mapping[ArtifactId, int],
) -> tuple[Copy, ...]:
    """Copies on SSDs and in DRAM, `uses` being requests by artifact.

    Raises ScenarioError where `all` do not fit.
    """
    models, adapters = (_by_popularity(some, uses) for some in artifacts)
    ssd, dram = [node.ssd_bytes for node in nodes], [node.dram_bytes for node in nodes]
    placed = (
        (Tier.SSD, _place("ssd", rules.ssd, models, ssd)),
        (Tier.SSD, _place("adapters", rules.adapters or rules.ssd, adapters, ssd)),
        (Tier.DRAM, _place("dram", rules.dram, models, dram)),
    )
    return tuple(
        (artifact, Place(NodeId(node), tier))
        for tier, copies in placed
        for artifact, node in copies
    )


def _by_popularity(some: Iterable[Artifact], uses: Mapping[ArtifactId, int]) -> list[Artifact]:
    return sorted(some, key=lambda artifact: (-uses.get(artifact.id, 0), artifact.id))


def _place(field: str, rule: str, ranked: Sequence[Artifact], free: Free) -> Placed:
    if rule == "all":
        return _everywhere(field, ranked, free)
    if rule == "popular":
        return _popular(ranked, free)
    return _round_robin(ranked, free) if rule == "round_robin" else []


def _everywhere(field: str, ranked: Sequence[Artifact], free: Free) -> Placed:
    total = sum(artifact.weight_bytes for artifact in ranked)
    if total > min(free):
        raise ScenarioError(
            f"residency.{field} is 'all'; {total / 1e9:.1f} GB do not fit into the "
            f"{min(free) / 1e9:.1f} GB free on node {free.index(min(free))}: take round_robin "
            "or popular"
        )
    return _popular(ranked, free)


def _popular(ranked: Sequence[Artifact], free: Free) -> Placed:
    """Every node for itself, most asked for first; what does not fit is passed over."""
    placed: Placed = []
    for node in range(len(free)):
        for artifact in ranked:
            if artifact.weight_bytes <= free[node]:
                free[node] -= artifact.weight_bytes
                placed.append((artifact.id, node))
    return placed


def _round_robin(ranked: Sequence[Artifact], free: Free) -> Placed:
    """One copy of each in a round, on the next node that has room and no copy of it yet."""
    holders: dict[ArtifactId, set[int]] = {artifact.id: set() for artifact in ranked}
    placed: Placed = []
    turn = 0
    for _ in range(len(free)):
        before = len(placed)
        for artifact in ranked:
            node = _next_with_room(artifact, turn, holders[artifact.id], free)
            if node is None:
                continue
            free[node] -= artifact.weight_bytes
            holders[artifact.id].add(node)
            placed.append((artifact.id, node))
            turn = node + 1
        if len(placed) == before:
            break
    return placed


def _next_with_room(artifact: Artifact, turn: int, holders: set[int], free: Free) -> int | None:
    for step in range(len(free)):
        node = (turn + step) % len(free)
        if node not in holders and artifact.weight_bytes <= free[node]:
            return node
    return None
