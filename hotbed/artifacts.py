"""Names of models and adapters to specs with dense ids: the scenario's, and the trace's own.

It knows names and sizes. Where copies lie and who asks for them is bound elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from fleet.domain import AdapterId, AdapterSpec, ArtifactId, ModelId, ModelSpec, Part, Share, Whole
from fleet.scenario import (
    AdapterGroup,
    AdaptersFromTrace,
    AdapterSize,
    ModelsFromTrace,
    ModelShape,
    Scenario,
    ScenarioError,
)
from fleet.scenario_text import unknown_name

#: A base and the adapters merged into it, by name: what one request asks for.
Asked = tuple[str, tuple[str, ...]]

SHOWN_NAMES = 8


@dataclass(slots=True)
class Artifacts:
    """Specs by id (models first), and the ids that names stand for.

    `groups` are the models of each group's name. An adapter set of several is an adapter of its
    own, made of its parents.
    """

    models: list[ModelSpec] = field(default_factory=list)
    adapters: list[AdapterSpec] = field(default_factory=list)
    by_name: dict[str, ModelSpec] = field(default_factory=dict)
    groups: dict[str, list[ModelSpec]] = field(default_factory=dict)
    layers: dict[ModelId, int | None] = field(default_factory=dict)
    by_use: dict[Asked, AdapterSpec] = field(default_factory=dict)

    def next_id(self) -> ArtifactId:
        return ArtifactId(len(self.models) + len(self.adapters))

    def named(self, name: str) -> list[ModelSpec]:
        """The model of that name, or those of the group; none where neither is known."""
        one = self.by_name.get(name)
        return [one] if one is not None else self.groups.get(name, [])

    def add_model(self, name: str, group: str, shape: ModelShape) -> None:
        model_id = ModelId(self.next_id())
        spec = ModelSpec(
            id=model_id,
            name=name,
            weight_bytes=shape.weights,
            need=_need(shape),
            stages=shape.stages,
            max_sequences=shape.max_sequences,
            kv_bytes_per_token=shape.kv_bytes,
            max_adapters=shape.max_adapters,
            shape=shape.shape,
        )
        self.models.append(spec)
        self.by_name[name] = spec
        self.groups.setdefault(group, []).append(spec)
        self.layers[model_id] = shape.layers

    def add_adapter(self, base: ModelSpec, name: str, rank: int, weight_bytes: int) -> None:
        self._add((base.name, (name,)), base, name, rank, weight_bytes)

    def use(self, asked: Asked) -> AdapterSpec:
        """The adapter of a set. Raises KeyError with the one that the base does not have."""
        known = self.by_use.get(asked)
        if known is not None:
            return known
        base, names = asked
        for name in names:
            if (base, (name,)) not in self.by_use:
                raise KeyError(name)
        parents = [self.by_use[base, (name,)] for name in names]
        # Side by side, low-rank factors add up: their ranks and their bytes do.
        rank = sum(parent.rank for parent in parents)
        size = sum(parent.weight_bytes for parent in parents)
        ids = tuple(parent.id for parent in parents)
        return self._add(asked, self.by_name[base], "+".join(names), rank, size, ids)

    def _add(
        self,
        asked: Asked,
        base: ModelSpec,
        name: str,
        rank: int,
        weight_bytes: int,
        parents: tuple[AdapterId, ...] = (),
    ) -> AdapterSpec:
        adapter_id = AdapterId(self.next_id())
        spec = AdapterSpec(adapter_id, name, base.id, weight_bytes, rank, parents)
        self.adapters.append(spec)
        self.by_use[asked] = spec
        return spec


def artifacts_of(scenario: Scenario, uses: Sequence[Asked]) -> Artifacts:
    """Everything that the scenario and the requests name. `uses` are distinct, sorted.

    Raises ScenarioError for what the requests ask for and the scenario does not have.
    """
    artifacts = Artifacts()
    for name, group, shape in _models(scenario, uses):
        artifacts.add_model(name, group, shape)
    for base, _ in uses:
        if base not in artifacts.by_name:
            raise ScenarioError(
                f"workload: a request asks for the model {base!r}, which models does not have; "
                f"there are {_some(artifacts.by_name)}"
            )
    if isinstance(scenario.adapters, AdaptersFromTrace):
        _add_used(artifacts, scenario.adapters.from_trace, uses)
    else:
        for index, listed in enumerate(scenario.adapters):
            _add_group(artifacts, listed, f"adapters[{index}]")
    _check_uses(artifacts, uses)
    return artifacts


def _models(scenario: Scenario, uses: Sequence[Asked]) -> Iterator[tuple[str, str, ModelShape]]:
    """Name, group and shape of every model."""
    if isinstance(scenario.models, ModelsFromTrace):
        traced = scenario.models.from_trace
        in_turn = cycle(traced.templates)
        for name in dict.fromkeys(base for base, _ in uses):
            template = traced.assign.get(name) or next(in_turn)
            yield name, template, traced.templates[template]
        return
    for group in scenario.models:
        for name in group.names:
            yield name, group.name, group


def _add_used(artifacts: Artifacts, size: AdapterSize, uses: Sequence[Asked]) -> None:
    pairs = dict.fromkeys((base, name) for base, names in uses for name in names)
    for index, (base, name) in enumerate(sorted(pairs)):
        rank = size.ranks[index % len(size.ranks)]
        spec = artifacts.by_name[base]
        nbytes = _bytes_of(size, rank, artifacts.layers[spec.id], "adapters.from_trace")
        artifacts.add_adapter(spec, name, rank, nbytes)


def _add_group(artifacts: Artifacts, group: AdapterGroup, field_name: str) -> None:
    bases = artifacts.named(group.model)
    if not bases:
        allowed = unknown_name(group.model, artifacts.groups)
        raise ScenarioError(f"{field_name}.model is {group.model!r}; {allowed}")
    for base in bases:
        for serial in range(group.count):
            rank = group.ranks[serial % len(group.ranks)]
            nbytes = _bytes_of(group, rank, artifacts.layers[base.id], field_name)
            name = f"{base.name}-lora-{serial:04d}"
            if (base.name, (name,)) in artifacts.by_use:
                raise ScenarioError(f"{field_name}.model is {group.model!r}; it has adapters twice")
            artifacts.add_adapter(base, name, rank, nbytes)


def _bytes_of(size: AdapterSize, rank: int, layers: int | None, field_name: str) -> int:
    try:
        return size.bytes_of(rank, layers)
    except ValueError as error:
        raise ScenarioError(f"{field_name}: {error}") from None


def _check_uses(artifacts: Artifacts, uses: Sequence[Asked]) -> None:
    """Registers the sets of several adapters; refuses what nobody can serve."""
    for base, names in uses:
        if not names:
            continue
        try:
            artifacts.use((base, names))
        except KeyError as missing:
            raise ScenarioError(
                f"workload: a request asks for the adapter {missing} of {base!r}, which adapters "
                "does not have; expected it there, or adapters: {from_trace: ...}"
            ) from None
        if not artifacts.by_name[base].max_adapters:
            raise ScenarioError(
                f"workload: a request asks for an adapter of {base!r}, whose max_adapters is 0; "
                "expected 1 or more"
            )


def _need(shape: ModelShape) -> Share:
    return Part(shape.gpu_memory) if shape.gpu_memory is not None else Whole(shape.gpus or 1)


def _some(names: Mapping[str, object]) -> str:
    shown = ", ".join(list(names)[:SHOWN_NAMES])
    return f"{shown}, ..." if len(names) > SHOWN_NAMES else shown
