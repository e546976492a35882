"""A scenario: a fleet, what it serves, to whom and under which policy, as a YAML file says it.

`parse` takes the text and gives checked values in bytes and seconds, or one line that names the
field. It opens no file and knows neither profiles, policies nor traces: whoever binds the scenario
looks those names up, and may bind the same file to a simulated or to a live cluster.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from fleet import quantities, scenario_text
from fleet.scenario_fields import (
    Bandwidth,
    Count,
    Duration,
    Factor,
    Fields,
    Number,
    Policy,
    Price,
    Size,
    Spread,
    Text,
    Whole0,
    one_of,
)
from fleet.scenario_text import ScenarioError, unknown_name

__all__ = ["Scenario", "ScenarioError", "changed", "parse"]


# Machines


class Links(Fields):
    """Bandwidths that differ from the profile's."""

    remote: Bandwidth | None = None
    ssd: Bandwidth | None = None
    pcie: Bandwidth | None = None
    peer: Bandwidth | None = None


class NodeGroup(Fields):
    """`count` nodes of a profile's kind; what is left out is as the profile says.

    `gpu_memory` is one card's. Nodes are named name-0, name-1 and so on. `kind` renames the
    profile's kind, for groups that differ in their links.
    """

    profile: Text
    kind: Text | None = None
    name: Text | None = None
    count: Count = 1
    gpus: Count | None = None
    gpu_memory: Size | None = None
    dram: Size | None = None
    ssd: Size | None = None
    links: Links = Links()
    price_per_hour: Price | None = None
    rack: Whole0 = 0


# Models and adapters


class ModelShape(Fields):
    """What one model needs. `gpus` whole cards, or `gpu_memory` of one card's memory and its time.

    The KV cache of a token takes `kv_bytes_per_token`, or by its dimensions
    2 (keys, values) * layers * kv_heads * head_dim * 2 bytes (FP16).
    """

    weights: Size
    gpus: Count | None = None
    gpu_memory: Size | None = None
    stages: Count = 1
    max_sequences: Count = 256
    kv_bytes_per_token: Size | None = None
    layers: Count | None = None
    kv_heads: Count | None = None
    head_dim: Count = 128
    max_adapters: Whole0 = 0
    shape: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        one_of(self, "gpus", "gpu_memory")
        one_of(self, "kv_bytes_per_token", "kv_heads")
        if self.kv_heads is not None and self.layers is None:
            raise ValueError("kv_heads is given without layers; expected both")
        return self

    @property
    def kv_bytes(self) -> int:
        """Bytes of KV cache a token; 0 where nothing was said of it."""
        if self.kv_heads is not None and self.layers is not None:
            return 2 * self.layers * self.kv_heads * self.head_dim * 2
        return self.kv_bytes_per_token or 0


class ModelGroup(ModelShape):
    """A model called `name`, or with `count` so many equal ones, name-00 to name-31."""

    name: Text
    count: Count | None = None

    @property
    def names(self) -> tuple[str, ...]:
        if self.count is None:
            return (self.name,)
        width = max(2, len(str(self.count - 1)))
        return tuple(f"{self.name}-{index:0{width}d}" for index in range(self.count))


class TraceModels(Fields):
    """Every base model that the trace names, in order of name, takes the next template in turn.

    `assign` gives a trace's model a template by name instead.
    """

    templates: Annotated[dict[str, ModelShape], Field(min_length=1)]
    assign: dict[str, str] = {}

    @model_validator(mode="after")
    def _assigned(self) -> Self:
        for model, template in self.assign.items():
            if template not in self.templates:
                allowed = unknown_name(template, self.templates)
                raise ValueError(f"assign.{model} is {template!r}; {allowed}")
        return self


class ModelsFromTrace(Fields):
    from_trace: TraceModels


def _ranks(written: Any) -> Any:
    return written if isinstance(written, list) else [written]


class AdapterSize(Fields):
    """Ranks, taken in turn, and the bytes that follow from them.

    `size` is that of the first rank, others in proportion; or `dims` lists (d_in, d_out) of the
    adapted matrices of a layer: rank * sum(d_in + d_out) * layers parameters of 2 bytes each
    (Hu et al., LoRA, 2021). `layers` is the model's where left out.
    """

    ranks: Annotated[list[Count], BeforeValidator(_ranks), Field(min_length=1)] = [16]
    size: Size | None = None
    dims: Annotated[list[tuple[Count, Count]], Field(min_length=1)] | None = None
    layers: Count | None = None

    @model_validator(mode="after")
    def _sized(self) -> Self:
        one_of(self, "size", "dims")
        if self.size is None and self.dims is None:
            raise ValueError("size and dims are missing; expected one of them")
        return self

    def bytes_of(self, rank: int, layers: int | None) -> int:
        """Bytes of one adapter. Raises ValueError where dims need layers that nobody states."""
        if self.dims is None:
            assert self.size is not None, "validated"
            return round(self.size * rank / self.ranks[0])
        layers = self.layers or layers
        if layers is None:
            raise ValueError("layers is missing; expected it here or in the model")
        return rank * sum(d_in + d_out for d_in, d_out in self.dims) * layers * 2


class AdapterGroup(AdapterSize):
    """`count` adapters of each model of that name (or of the group): base-lora-0000 and so on."""

    model: Text
    count: Count = 1


class AdaptersFromTrace(Fields):
    """Every adapter that the trace names with a base."""

    from_trace: AdapterSize


def _listed_or_traced(raw: Any) -> str:
    return "<trace>" if isinstance(raw, dict | Fields) else "<list>"


Models: TypeAlias = Annotated[
    Annotated[list[ModelGroup], Field(min_length=1), Tag("<list>")]
    | Annotated[ModelsFromTrace, Tag("<trace>")],
    Discriminator(_listed_or_traced),
]
Adapters: TypeAlias = Annotated[
    Annotated[list[AdapterGroup], Tag("<list>")] | Annotated[AdaptersFromTrace, Tag("<trace>")],
    Discriminator(_listed_or_traced),
]


class Residency(Fields):
    """Where copies lie at the start; the remote store has everything.

    `all`: on every node. `popular`: every node fills up with the most asked for. `round_robin`:
    copies go around the nodes, most asked for first, again and again until nothing fits
    (ServerlessLLM, OSDI'24). `adapters` speaks of SSDs; left out it is as `ssd`.
    """

    ssd: Spread = "round_robin"
    dram: Spread = "none"
    adapters: Spread | None = None


# Requests


class Workload(Fields):
    """A recorded `trace`, or a recipe to `synth` from with its `params`; then cut and scaled.

    `start` and `duration` are the trace's own time, before `compress`. `lengths` fills in missing
    token counts ("gsm8k+sharegpt", or FILE.csv:PROMPT:OUTPUT). `max_tokens` is what every client
    asks for at most; left out, it is the longest output there is. `model` names the base of
    requests that name none. `functions` (of osdi24) are Azure Functions minutes; `clients` and
    `client_lengths` (of servegen) are ServeGen's tables. `context` cuts what has more tokens,
    after `shrink` has divided all token counts and block sizes.

    In a closed loop a session's next turn is sent a think time after the end of the turn before;
    left out, it is one where the trace has think times. `sessions_per_s` draws when sessions begin,
    for traces that have no common clock. `priorities` are by class; 0 otherwise.
    """

    trace: Text | None = None
    synth: Text | None = None
    params: dict[str, Any] = {}
    functions: Text | None = None
    clients: Text | None = None
    client_lengths: Text | None = None
    format: Text | None = None
    columns: Text | None = None
    model: Text | None = None
    start: Annotated[
        Number, BeforeValidator(lambda v: v if v == 0 else quantities.duration_s(v))
    ] = 0.0
    duration: Duration | None = None
    jitter: bool = False
    compress: Factor = 1.0
    lengths: Text | None = None
    shrink: Count = 1
    context: Count | None = None
    limit: Count | None = None
    max_tokens: Count | None = None
    closed_loop: Annotated[bool, Field(strict=True)] | None = None
    sessions_per_s: Factor | None = None
    priorities: dict[str, Annotated[int, Field(strict=True)]] = {}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        one_of(self, "trace", "synth")
        if self.trace is None and self.synth is None:
            raise ValueError("trace and synth are missing; expected one of them")
        if self.trace is not None and (self.params or self.functions or self.clients):
            raise ValueError("params, functions and clients belong to synth; there is a trace")
        if self.client_lengths is not None and self.clients is None:
            raise ValueError("client_lengths is given without clients; expected both")
        return self


class Objective(Fields):
    """Time to first token and time per output token that a request should not exceed."""

    ttft: Duration = 10.0
    tpot: Duration = 0.2


class Slo(Objective):
    """`models` names those with an objective of their own."""

    models: dict[str, Objective] = {}


class Bounds(Fields):
    """See `fleet.limits.Limits`, which has the defaults."""

    max_age: Duration | None = None
    max_waiting: Count | None = None
    max_attempts: Count | None = None
    max_answers: Count | None = None


class Variant(Fields):
    """A way to run the scenario: a policy, and what else must differ with it."""

    policy: Policy
    residency: Residency | None = None


class Grid(Fields):
    """Axes of a comparison: every combination of their alternatives is a cell of its own.

    `load` multiplies the workload's rate. `traces` names workloads, or mappings of scenario fields
    with `workload` among them; `fleets` names fleets; `cases` names sets of fields by path (`load`
    may be one); `vary` has the values that a field takes, listed or named. An empty mapping is the
    scenario as it stands. `policies` and `seeds` are what `hotbed compare` runs where not told.
    """

    policies: Annotated[list[Text], Field(min_length=1)] | None = None
    seeds: Count | None = None
    load: list[Factor] = []
    traces: dict[str, dict[str, Any]] = {}
    fleets: dict[str, list[Any]] = {}
    cases: dict[str, dict[str, Any]] = {}
    vary: dict[str, list[Any] | dict[str, Any]] = {}


class Scenario(Fields):
    """`policy` is a recipe's name, or a mapping that the policy catalogue understands.

    `variants` are names for policies beside those of the catalogue. `faults` are rates by name.
    With `warm_pool` engines start in processes that have done their imports. `until` ends a run
    early; left out, it ends when the last request is over, or `drain` after the last arrival.
    `grid` is of comparisons only.
    """

    name: Text
    description: str = ""
    seed: Whole0 = 0
    fleet: Annotated[list[NodeGroup], Field(min_length=1)]
    models: Models
    adapters: Adapters = []
    residency: Residency = Residency()
    workload: Workload
    policy: Policy = {"recipe": "serverlessllm"}
    variants: dict[str, Variant] = {}
    slo: Slo = Slo()
    limits: Bounds = Bounds()
    faults: dict[str, Number | None] = {}
    warm_pool: bool = False
    until: Duration | None = None
    drain: Duration = 3600.0
    grid: Grid = Grid()

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        if isinstance(self.models, list):
            names = [name for group in self.models for name in group.names]
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"models: the name {twice[0]!r} is given twice")
        return self


def changed(scenario: Scenario, changes: Mapping[str, Any], name: str) -> Scenario:
    """The scenario with other values at those paths; `name` says for whom, in errors.

    Raises ScenarioError, one line.
    """
    raw = scenario.model_dump(mode="json")
    for path, value in changes.items():
        scenario_text.put(raw, path, value)
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise scenario_text.explain(error, "", name, changes) from None


def parse(text: str, name: str, changes: Mapping[str, str] | None = None) -> Scenario:
    """The scenario in a YAML text. `name` is the file's, for errors.

    `changes` sets fields by path before anything is checked: {"slo.ttft": "2s"}. Raises
    ScenarioError, one line: file, line, field, value, what is allowed.
    """
    raw = scenario_text.read(text, name)
    scenario_text.change(raw, changes or {})
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise scenario_text.explain(error, text, name, changes or {}) from None
