"""A scenario with its names looked up: what a controller starts from, what a driver knows, and who
arrives when.

Everything chosen here follows from the scenario, its files and one seed. It starts nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.controller import Setup
from fleet.domain import AdapterId, ArtifactId, ModelId, ModelSpec, NodeSpec, Part, Share
from fleet.limits import Limits
from fleet.scenario import Objective, Residency, Scenario, ScenarioError
from fleet.scenario_text import unknown_name
from hotbed.arrivals import Clients, arrivals_of, asked_of, check_clients
from hotbed.artifacts import Artifacts, Asked, artifacts_of
from hotbed.nodes import Machines, beliefs_of, cards, machines_of
from hotbed.residency import resident
from hotbed.workloads import requests_of
from sim.calendar import Arrival
from sim.faults import FaultRateError, FaultRates
from sim.profiles import Profile
from sim.world import World
from traces.summary import Slo
from traces.workload import Workload as Requests


@dataclass(frozen=True, slots=True)
class Bound:
    """One run, ready to start but for its policy.

    `setup` is the controller's, `world` the driver's; `requests` has a row for each arrival.
    """

    scenario: Scenario
    setup: Setup
    world: World
    requests: Requests
    artifacts: Artifacts
    tenants: tuple[str, ...]

    @property
    def slo(self) -> Slo:
        return _slo(self.scenario.slo)

    @property
    def slo_of_model(self) -> dict[int, Slo]:
        """Objectives of their own, by model id."""
        own = {}
        for name, objective in self.scenario.slo.models.items():
            for model in self.artifacts.named(name):
                own[int(model.id)] = _slo(objective)
        return own

    def arrivals(self) -> Iterator[Arrival]:
        """In time order; in a closed loop, each turn behind the one that it follows."""
        return arrivals_of(self._clients())

    def check(self) -> None:
        """Raise ScenarioError where `arrivals` would."""
        check_clients(self._clients())

    def _clients(self) -> Clients:
        uses = {asked: self._use(asked) for asked in set(asked_of(self.requests.frame))}
        own = self.slo_of_model
        ttft_s = {model.id: own.get(model.id, self.slo).ttft_s for model in self.artifacts.models}
        return Clients(self.requests, self.scenario.workload, uses, ttft_s, self.tenants)

    def _use(self, asked: Asked) -> tuple[ModelId, AdapterId | None]:
        base, adapters = asked
        adapter = self.artifacts.use(asked).id if adapters else None
        return self.artifacts.by_name[base].id, adapter


def bind(scenario: Scenario, folder: Path, seed: int, residency: Residency | None = None) -> Bound:
    """Look everything up. `folder` is where the scenario's files are; `residency` replaces its own.

    Raises ScenarioError, TraceError or ProfileError, one line.
    """
    machines = machines_of(scenario.fleet)
    requests = requests_of(scenario, folder, seed)
    asked_for = Counter(asked_of(requests.frame))
    artifacts = artifacts_of(scenario, sorted(asked_for))
    _check_fit(artifacts, machines)
    for name in scenario.slo.models:
        if not artifacts.named(name):
            allowed = unknown_name(name, artifacts.groups)
            raise ScenarioError(f"slo.models: unknown model {name!r}; {allowed}")
    preserved = ("pool",) if scenario.warm_pool else ()
    specs = (artifacts.models, artifacts.adapters)
    setup = Setup(
        nodes=machines.nodes,
        models=tuple(artifacts.models),
        adapters=tuple(artifacts.adapters),
        resident=resident(
            residency or scenario.residency,
            machines.nodes,
            specs,
            _popularity(asked_for, artifacts),
        ),
        beliefs=beliefs_of(machines, artifacts.models, preserved),
        limits=_limits(scenario),
        seed=seed,
    )
    world = World(
        profiles=machines.profiles,
        faults=fault_rates(scenario),
        seed=seed,
        preserved=preserved,
        drain_s=scenario.drain,
    )
    bound = Bound(scenario, setup, world, requests, artifacts, requests.tenants())
    bound.check()
    return bound


def fault_rates(scenario: Scenario) -> FaultRates:
    """Raises ScenarioError, naming the rate."""
    known = FaultRates.__struct_fields__
    for name in scenario.faults:
        if name not in known:
            raise ScenarioError(f"faults: unknown field {name!r}; {unknown_name(name, known)}")
    try:
        return msgspec.convert(scenario.faults, FaultRates)
    except (FaultRateError, msgspec.ValidationError) as error:
        raise ScenarioError(f"faults.{error}") from None


def _limits(scenario: Scenario) -> Limits:
    given = scenario.limits.model_dump(exclude_none=True)
    if "max_age" in given:
        given["max_age_s"] = given.pop("max_age")
    return Limits(**given)


def _slo(objective: Objective) -> Slo:
    return Slo(objective.ttft, objective.tpot)


def _check_fit(artifacts: Artifacts, machines: Machines) -> None:
    """Refuse a model that no node could ever run."""
    widest = max(node.gpus for node in machines.nodes)
    kinds = {(node.kind, node.gpus, node.gpu_bytes): node for node in machines.nodes}.values()
    for name, models in artifacts.groups.items():
        model = models[0]
        gpus = cards(model)
        if gpus > widest:
            raise ScenarioError(
                f"models: {name!r} needs {gpus} GPUs of one node; none has more than {widest}"
            )
        if not any(_fits(model, node, machines.profiles[node.kind]) for node in kinds):
            raise ScenarioError(
                f"models: {name!r} with weights of {model.weight_bytes / 1e9:.1f} GB leaves no "
                f"room for a KV cache on {gpus} GPU of any node; take more gpus or gpu_memory"
            )


def _fits(model: ModelSpec, node: NodeSpec, profile: Profile) -> bool:
    """One stage on as many cards of the node as it needs, with a block of KV cache at least."""
    gpus = cards(model)
    card_bytes = _share_bytes(model.need, node.gpu_bytes)
    stage = msgspec.structs.replace(model, weight_bytes=model.weight_bytes // model.stages)
    return (
        gpus <= node.gpus
        and card_bytes <= node.gpu_bytes
        and stage.weight_bytes <= card_bytes * gpus
        and profile.kv_blocks(stage, card_bytes * gpus, gpus) > 0
    )


def _share_bytes(need: Share, gpu_bytes: int) -> int:
    return need.gpu_bytes if isinstance(need, Part) else gpu_bytes


def _popularity(asked_for: Mapping[Asked, int], artifacts: Artifacts) -> dict[ArtifactId, int]:
    """Requests by model, and by adapter: a set counts for those it is merged from as well."""
    uses: dict[ArtifactId, int] = {}
    for (base, names), count in asked_for.items():
        wanted: list[ArtifactId] = [artifacts.by_name[base].id]
        if names:
            adapter = artifacts.use((base, names))
            wanted += [adapter.id, *adapter.parents]
        for artifact in wanted:
            uses[artifact] = uses.get(artifact, 0) + count
    return uses
