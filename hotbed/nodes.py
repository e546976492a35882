"""Groups of nodes to node specs, with the profile and the beliefs of each kind.

It knows profiles by name and what a scenario may change of them. It knows no model's name.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

import msgspec

from fleet.domain import ModelSpec, NodeId, NodeSpec, Part
from fleet.estimates import Belief
from fleet.scenario import NodeGroup, ScenarioError
from sim.profiles import Figure, Profile, ProfileError, load_profile

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Machines:
    """Nodes with dense ids, and the profile of each of their kinds."""

    nodes: tuple[NodeSpec, ...]
    profiles: dict[str, Profile]


def machines_of(groups: Sequence[NodeGroup]) -> Machines:
    """Raises ScenarioError for an unknown profile and for two groups that differ in one kind."""
    nodes: list[NodeSpec] = []
    profiles: dict[str, Profile] = {}
    for index, group in enumerate(groups):
        profile = _profile(index, group)
        known = profiles.setdefault(profile.kind, profile)
        if known != profile:
            raise ScenarioError(
                f"fleet[{index}].kind is {profile.kind!r}; another group of that kind has another "
                "profile or other links: give this one a kind of its own"
            )
        prefix = group.name or profile.kind.lower()
        if any(node.name == f"{prefix}-0" for node in nodes):
            prefix = f"{prefix}-{index}"
        for serial in range(group.count):
            spec = profile.node_spec(NodeId(len(nodes)), f"{prefix}-{serial}", group.rack)
            nodes.append(_changed(spec, group))
    return Machines(tuple(nodes), profiles)


def beliefs_of(
    machines: Machines, models: Sequence[ModelSpec], preserved: Collection[str] = ()
) -> dict[str, Belief]:
    """Priors of each kind, from its profile: means over the models, which differ in their pace.

    `preserved` names what every start comes from, as in `sim.world.World`.
    """
    return {kind: _belief(own, models, preserved) for kind, own in machines.profiles.items()}


def _belief(profile: Profile, models: Sequence[ModelSpec], preserved: Collection[str]) -> Belief:
    paces = [profile.pace(model, cards(model)) for model in models]
    phases = [
        phase.mean_s
        for phase in profile.phases
        if not any(keeper in preserved for keeper in phase.preserved_by)
    ]
    return Belief(
        startup_s=sum(phases),
        stop_s=profile.stop.mean_s,
        wake_s=profile.wake.mean_s if profile.wake is not None else 0.0,
        attach_s=profile.attach.mean_s,
        prefill_s_per_token=fmean(pace.per_prefill_token_s for pace in paces),
        decode_s_per_token=fmean(pace.step_s + pace.per_sequence_s for pace in paces),
    )


def cards(model: ModelSpec) -> int:
    """Cards of one stage."""
    return 1 if isinstance(model.need, Part) else model.need.gpus


def _profile(index: int, group: NodeGroup) -> Profile:
    """With the links of the group, since loads are paced by the profile's."""
    try:
        profile = load_profile(group.profile)
    except ProfileError as error:
        raise ScenarioError(f"fleet[{index}].{error}") from None
    given = {
        f"{name}_bytes_per_s": Figure(value=value, source="the scenario")
        for name, value in group.links.model_dump().items()
        if value is not None
    }
    return msgspec.structs.replace(
        profile,
        kind=group.kind or profile.kind,
        links=msgspec.structs.replace(profile.links, **given),
    )


def _changed(spec: NodeSpec, group: NodeGroup) -> NodeSpec:
    given = {
        "gpus": group.gpus,
        "gpu_bytes": group.gpu_memory,
        "dram_bytes": group.dram,
        "ssd_bytes": group.ssd,
    }
    changes: dict[str, float] = {name: size for name, size in given.items() if size is not None}
    if group.price_per_hour is not None:
        changes["price_per_s"] = group.price_per_hour / SECONDS_PER_HOUR
    return msgspec.structs.replace(spec, **changes)
