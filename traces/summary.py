"""The numbers of one run, as data: every field has a unit in its name or its docstring.

All structs turn to JSON as they are. None means that there was nothing to measure; no field is
ever nan. It knows no arithmetic: `traces.metrics` fills it in.
"""

from collections.abc import Mapping

import msgspec


class Slo(msgspec.Struct, frozen=True):
    """A service-level objective: a request meets it with TTFT and TPOT both at or below."""

    ttft_s: float
    tpot_s: float


class Held(msgspec.Struct, frozen=True):
    """What the ledger says was held on nodes of one kind, by cause (serving, loading, ...)."""

    gpu_s: Mapping[str, float] = {}
    dram_byte_s: Mapping[str, float] = {}
    ssd_byte_s: Mapping[str, float] = {}


class Quantiles(msgspec.Struct, frozen=True):
    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class Counts(msgspec.Struct, frozen=True):
    """Requests by how they ended; they add up to `arrived`."""

    arrived: int
    finished: int
    rejected: int
    timed_out: int
    failed: int
    abandoned: int
    unfinished: int


class Latency(msgspec.Struct, frozen=True):
    """Of finished requests, seconds.

    `ttft_s` from arrival, queue and load included; `tpot_s` is (end - first token) / (tokens - 1)
    of those with two tokens or more; `itl_s` is the distribution over all token gaps, exact in
    its mean and max, its quantiles the geometric middle of histogram bins 19 % wide (off by
    9 % at most); `per_token_s` is end-to-end time / tokens (vLLM, SOSP'23); `queue_s` is the
    time to the first batch less the load waited for.
    """

    ttft_s: Quantiles | None
    tpot_s: Quantiles | None
    itl_s: Quantiles | None
    longest_gap_s: Quantiles | None
    e2e_s: Quantiles | None
    per_token_s: Quantiles | None
    queue_s: Quantiles | None


class Objective(msgspec.Struct, frozen=True):
    """Attainment is a share of ALL arrived requests: what did not finish is a miss.

    `token_attainment`: share of finished requests' tokens that came by
    arrival + ttft_s + k * tpot_s (Aegaeon, SOSP'25), tokens taken as evenly spaced.
    Goodput counts what met the objective, per second of the run's span.
    """

    ttft_s: float
    tpot_s: float
    attainment: float | None
    ttft_attainment: float | None
    tpot_attainment: float | None
    token_attainment: float | None
    goodput_requests_per_s: float | None
    goodput_tokens_per_s: float | None


class Throughput(msgspec.Struct, frozen=True):
    """Per second of the span: first arrival to last arrival or end."""

    offered_requests_per_s: float | None
    requests_per_s: float | None
    prompt_tokens_per_s: float | None
    output_tokens_per_s: float | None


class SourceLoads(msgspec.Struct, frozen=True):
    """Loads that became ready from one source. `phase_mean_s` are means over those loads."""

    loads: int
    load_s: Quantiles | None
    cold_ttft_s: Quantiles | None
    phase_mean_s: Mapping[str, float]


class ColdStarts(msgspec.Struct, frozen=True):
    """A request is cold when the load of its instance ended after it arrived.

    `ratio` and `adapter_ratio` (instance warm, adapter not) are shares of dispatched requests.
    `load_ratio` is the share of loads that some request waited for: the rest were ahead of need.
    `wakes` are those loads that woke a sleeping instance.
    """

    requests: int
    ratio: float | None
    adapter_requests: int
    adapter_ratio: float | None
    ttft_s: Quantiles | None
    warm_ttft_s: Quantiles | None
    load_s: Quantiles | None
    loads: int
    wakes: int
    loads_failed: int
    loads_waited_for: int
    load_ratio: float | None
    loads_per_cold_request: float | None
    by_source: Mapping[str, SourceLoads]


class Cost(msgspec.Struct, frozen=True):
    """GPU-seconds held, and their price, by cause.

    `fleet_gpu_s` is every card of every node for as long as it was there; `held_ratio` is the
    share of it that was held. Money is in the unit of the nodes' prices; it pays held cards only.
    `per_1k_requests` and `per_1m_tokens` divide by what finished, `per_good_request` by what met
    the objective.
    """

    gpu_s: Mapping[str, float]
    gpu_s_total: float
    fleet_gpu_s: float
    held_ratio: float | None
    price: Mapping[str, float]
    price_total: float
    per_1k_requests: float | None
    per_1m_tokens: float | None
    per_good_request: float | None
    dram_byte_s: Mapping[str, float]
    ssd_byte_s: Mapping[str, float]


class Migrations(msgspec.Struct, frozen=True):
    """`pause_s` is the token gap the move caused, `total_s` from command to answer.

    `abort_ratio` counts failed and overtaken moves among those that ended.
    """

    moved: int
    failed: int
    overtaken: int
    abort_ratio: float | None
    pause_s: Quantiles | None
    total_s: Quantiles | None
    rounds: Quantiles | None
    bytes_moved: int


class Cache(msgspec.Struct, frozen=True):
    """Where loads found their bytes: counts, bytes and shares by source.

    `hit_ratio` is the share of loads whose bytes all lay on the node; `byte_hit_ratio` the same
    weighted by bytes.
    """

    loads: Mapping[str, int]
    load_bytes: Mapping[str, int]
    share: Mapping[str, float]
    hit_ratio: float | None
    byte_hit_ratio: float | None


class Caches(msgspec.Struct, frozen=True):
    """`prefix_hit_ratio`: prompt tokens of finished requests found in engines' prefix caches, of
    all their prompt tokens; None where no request says what its prompt begins with."""

    models: Cache
    adapters: Cache
    fetches: Mapping[str, int]
    fetched_bytes: Mapping[str, int]
    drops: Mapping[str, int]
    drops_per_min: Mapping[str, float]
    prefix_hit_ratio: float | None = None


class Adapters(msgspec.Struct, frozen=True):
    """Of requests with an adapter. `imbalance` is, of an adapter served by two instances or
    more, max / mean requests an instance: its mean weighted by requests, and its largest."""

    requests: int
    unique: int
    attaches: int
    attaches_failed: int
    cold_ratio: float | None
    ttft_s: Quantiles | None
    attach_s: Quantiles | None
    attach_s_by_rank: Mapping[str, Quantiles]
    imbalance_mean: float | None
    imbalance_max: float | None


class Tenants(msgspec.Struct, frozen=True):
    """Fairness; None with a single tenant.

    Jain's index (Jain, Chiu, Hawe 1984) over tenants of the objective's attainment, and of
    service: the share of a tenant's prompt tokens that finished. `worst_p99_ratio`: the
    worst tenant's P99 TTFT / everyone's, over tenants with 20 finished requests.
    """

    tenants: int
    jain_attainment: float | None
    jain_service: float | None
    worst_p99_ratio: float | None


class Saturation(msgspec.Struct, frozen=True):
    """Whether the queue grew through the run. Waits are means over thirds of the arrivals.

    `queue_growth_per_s`: requests by which the queue grew, per second of the last two thirds.
    """

    saturated: bool
    in_words: str
    middle_wait_s: float | None
    last_wait_s: float | None
    backlog: int
    late_refused_ratio: float | None
    queue_growth_per_s: float | None = None


class ModelSummary(msgspec.Struct, frozen=True):
    requests: int
    attainment: float | None
    cold_ratio: float | None
    ttft_s: Quantiles | None


class Summary(msgspec.Struct, frozen=True):
    requests: Counts
    span_s: float
    prompt_tokens: int
    output_tokens: int
    latency: Latency
    objective: Objective
    throughput: Throughput
    cold: ColdStarts
    cost: Cost
    migrations: Migrations
    preemptions: int
    preempted_requests: int
    caches: Caches
    adapters: Adapters
    tenants: Tenants
    saturation: Saturation
    models: Mapping[str, ModelSummary]


def value_of(summary: Summary, path: str) -> float | None:
    """One number by its dotted path, as `latency.ttft_s.p99` or `cost.gpu_s.idle`.

    None where there was nothing to measure; a key missing from a mapping is None too. Raises
    ValueError on a path that no summary has.
    """
    here: object = summary
    for name in path.split("."):
        if here is None:
            return None
        if isinstance(here, Mapping):
            here = here.get(name)
        elif name in getattr(here, "__struct_fields__", ()):
            here = getattr(here, name)
        else:
            raise ValueError(f"metric {path!r}: {type(here).__name__} has no field {name!r}")
    if here is None or isinstance(here, int | float):
        return here
    raise ValueError(f"metric {path!r} is not one number but a {type(here).__name__}")
