"""The experiments of the paper as jobs: which cells, which systems, which numbers of each run.

It knows the scenario file beside it and how runs are kept; what was published it does not know.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from hotbed.comparing.grid import Alternative, Axis, Cell, axes_of, cells_of
from hotbed.comparing.study import resolved
from hotbed.comparing.sweep import Job, Stored, jobs_of_cell, stored
from hotbed.scenarios import Choice, Loaded, choice, load
from traces.curves import Cdf

SCENARIO: Final = Path(__file__).with_name("osdi24.yaml")
RATES: Final = (0.2, 0.5, 0.8, 1.1, 1.4)
SCHEDULERS: Final = ("serverlessllm", "shepherd_star", "serverless")
SYSTEMS: Final = ("ray_serve", "ray_serve_cached")
#: The arrival process of the paper, as far as it is known.
ARRIVALS: Final = "cv 8"
#: Others, for the experiment whose ratios are published: how much hangs on the process.
OTHER_ARRIVALS: Final = (
    ("cv 4", {"workload.params.cv": 4}),
    ("cv 2", {"workload.params.cv": 2}),
    ("cv 1", {"workload.params.cv": 1}),
    ("cv 8, biased", {"workload.params.generator": "per-window"}),
)
HEADLINE: Final = ("opt-6.7b", "gsm8k", 1.4)
#: The rate at which the systems are compared: our notes name none.
SYSTEMS_RPS: Final = 0.5
TIMEOUT_S: Final = 300.0

FUNCTIONS: Final = "azure_functions_2019_minutes_dev.parquet"
GSM8K: Final = "gsm8k_lengths_train.csv"


@dataclass(frozen=True, slots=True)
class Data:
    """Files of the publishers' data, or laws fitted to them: what each is, in words."""

    functions: Path | None
    gsm8k: str
    words: tuple[str, ...]


def data_in(folder: Path | None) -> Data:
    """What there is of the paper's data below a folder, in it or in `normalized/`."""
    functions, gsm8k = _below(folder, FUNCTIONS), _below(folder, GSM8K)
    lengths = "gsm8k" if gsm8k is None else f"{gsm8k}:prompt_tokens:answer_tokens_no_calc"
    words = (
        f"popularity: {functions.name if functions else 'Zipf 0.7, fitted to the functions trace'}",
        f"GSM8K lengths: {gsm8k.name if gsm8k else 'a log-normal law fitted to the data set'}",
        "ShareGPT lengths: a law with the published means of first turns (161 and 338 tokens); the "
        "public file of lengths is of whole conversations",
    )
    return Data(functions, lengths, words)


def _below(folder: Path | None, name: str) -> Path | None:
    places = () if folder is None else (folder / name, folder / "normalized" / name)
    return next((path for path in places if path.is_file()), None)


@dataclass(frozen=True, slots=True)
class Where:
    """An experiment: a model size, a data set, requests a second, an arrival process."""

    size: str
    data: str
    rps: float
    arrivals: str = ARRIVALS


@dataclass(frozen=True, slots=True)
class Planned:
    where: Where
    loaded: Loaded
    jobs: tuple[Job, ...]


def planned(data: Data, rates: Sequence[float], seeds: Sequence[int], out: Path) -> list[Planned]:
    """Schedulers at every rate, systems at theirs; seed by seed."""
    loaded = load(SCENARIO, _sets(data))
    grid = loaded.scenario.grid
    traces = tuple(
        Alternative(name, {"workload.params.lengths": lengths})
        for name, lengths in (("gsm8k", data.gsm8k), ("sharegpt", "sharegpt"))
    )
    loads = tuple(Alternative(f"{rate:g}", {}, rate) for rate in _all_rates(rates))
    processes = (Alternative(ARRIVALS, {}), *(Alternative(*other) for other in OTHER_ARRIVALS))
    axes = [*axes_of(grid), Axis("data", traces), Axis("arrivals", processes), Axis("load", loads)]
    found = []
    for cell in cells_of(loaded, axes):
        where = _where(cell)
        if where.arrivals != ARRIVALS and (where.size, where.data, where.rps) != HEADLINE:
            continue
        chosen = [choice(cell.loaded, name) for name in _policies(where)]
        values: Mapping[str, Any] = resolved(cell.loaded, chosen, seeds)
        jobs = jobs_of_cell(cell, chosen, seeds, out / "runs", values)
        found.append(Planned(where, cell.loaded, tuple(jobs)))
    return found


def _where(cell: Cell) -> Where:
    named = cell.coordinates
    return Where(named["case"], named["data"], cell.load, named["arrivals"])


def _sets(data: Data) -> list[str]:
    return [] if data.functions is None else [f"workload.functions={data.functions.resolve()}"]


def _all_rates(rates: Sequence[float]) -> list[float]:
    return sorted({*rates, SYSTEMS_RPS})


def _policies(where: Where) -> tuple[str, ...]:
    if where.rps == SYSTEMS_RPS:
        return (*SCHEDULERS, *SYSTEMS)
    return SCHEDULERS


class Outcome(msgspec.Struct, frozen=True):
    """One run as the paper counts: a request that timed out waited for the whole timeout.

    `mean_s` and `p99_s` are of the time from arrival to first token over all requests; `served` is
    the share that got one; `rps` what came in fact.
    """

    mean_s: float
    p99_s: float
    served: float
    rps: float
    saturated: bool


def outcome_of(run: Stored) -> Outcome | None:
    """None where no request came."""
    summary = run.summary
    counts, ttft = summary.requests, summary.latency.ttft_s
    if not counts.arrived:
        return None
    finished_s = ttft.mean * counts.finished if ttft is not None else 0.0
    missed = counts.arrived - counts.finished
    return Outcome(
        mean_s=(finished_s + TIMEOUT_S * missed) / counts.arrived,
        p99_s=quantile(run.curves.ttft_s, 0.99),
        served=counts.finished / counts.arrived,
        rps=summary.throughput.offered_requests_per_s or 0.0,
        saturated=summary.saturation.saturated,
    )


def quantile(cdf: Cdf, q: float) -> float:
    """Of all requests: the first value that a share q reached; the timeout where none did."""
    for value, share in zip(cdf.values, cdf.shares, strict=True):
        if share >= q or math.isclose(share, q):
            return value
    return TIMEOUT_S


def outcomes(jobs: Sequence[Job]) -> Iterator[tuple[Choice, int, Outcome]]:
    """The finished runs among them; one is in memory at a time."""
    for job in jobs:
        run = stored(job)
        found = None if run is None else outcome_of(run)
        if found is not None:
            yield job.choice, job.seed, found
