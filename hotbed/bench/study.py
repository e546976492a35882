"""The whole benchmark: which parts run at which size, in which order, and what they add up to.

Hotbed and its peers take turns, round after round, so that a busy machine is busy for all. It
measures nothing itself (`hotbed.bench.parts` does) and prints nothing.
"""

import difflib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from hotbed.bench.measures import Rate, commit, machine, rate_of
from hotbed.bench.parts import PartError, measure
from hotbed.bench.peers import PEERS, missing, version
from hotbed.bench.workloads import W_FILE, find_w, read_w, synthetic_w, write_mooncake

#: What `--only` may name.
NAMES: Final = ("workload_w", "dynamo_mocker", "sched_sim", "fleet_10k", "fleet_sizes", "decisions")

#: A profile takes several times as long, and needs no more requests for the shares of time.
PROFILED_REQUESTS: Final = 100_000

#: Decisions are watched at a part of the load: as many cold starts, fewer warm requests.
DECISION_PART: Final = 4

#: GPUs and models, by the key of a size.
FLEETS: Final[Mapping[str, tuple[int, int]]] = {
    "100": (100, 20),
    "1k": (1_000, 200),
    "10k": (10_000, 2_000),
}


class BenchError(ValueError):
    """The benchmark was asked for something that there is not."""


#: Told what is about to run, and how many parts are done of how many.
Tell = Callable[[str, int, int], None]
Words = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """`span_s` is how long requests come to a fleet, `requests_per_gpu` how many in that time."""

    w_requests: int
    rounds: int
    requests_per_gpu: int
    span_s: float


FULL: Final = Sizes(10_000, 5, 100, 200.0)
QUICK: Final = Sizes(2_000, 1, 10, 60.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to run. `fleets` is `FLEETS`, or smaller ones under the same keys."""

    only: tuple[str, ...] = NAMES
    sizes: Sizes = FULL
    seed: int = 0
    trace_dir: Path | None = None
    profile: bool = False
    fleets: Mapping[str, tuple[int, int]] = field(default_factory=lambda: FLEETS)


@dataclass(frozen=True, slots=True)
class Run:
    """One process: its key in the results, the part, and the part's arguments."""

    key: str
    part: str
    words: Words


def names(only: Sequence[str] | None) -> tuple[str, ...]:
    """The parts that `--only` names; all without it. Raises BenchError."""
    for name in only or ():
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BenchError(f"--only {name!r}: allowed are {', '.join(NAMES)}{hint}")
    return tuple(only) if only else NAMES


def study(asked: Asked, tell: Tell) -> dict[str, Any]:
    """Every part asked for, by key, with null for a rate that could not be measured.

    Raises TraceError where the trace cannot be read, PartError where a part of hotbed fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, trace = _w_file(asked, Path(folder))
        runs, absent = _runs(asked, str(file))
        answers = _measured(runs, asked.profile, tell)
    results: dict[str, Any] = {
        "machine": machine(),
        "commit": commit(),
        "seed": asked.seed,
        "trace": trace,
        "sizes": msgspec.to_builtins(asked.sizes),
    }
    for key, facts in answers.items():
        _put(results, key, _combined(facts))
    for key, why in absent.items():
        _put(results, key, {"requests_per_cpu_s": None, "missing": why})
    _add_ratios(results)
    return results


def _w_file(asked: Asked, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Workload W as one Mooncake file, cut to size: what hotbed and every peer read."""
    found = find_w(asked.trace_dir)
    n = asked.sizes.w_requests
    requested = synthetic_w(n, asked.seed) if found is None else read_w(found).first(n)
    path = folder / W_FILE
    write_mooncake(requested, path)
    said = {
        "source": "synthetic" if found is None else str(found),
        "what": "Poisson arrivals, lengths with the moments of Azure's conversations of 2023"
        if found is None
        else "lengths of Azure's conversation trace of 2023",
        "requests": len(requested),
        "rate_rps": round(len(requested) / float(requested.arrived_at[-1]), 3),
        "mean_prompt_tokens": round(float(requested.prompt_tokens.mean()), 1),
        "mean_output_tokens": round(float(requested.output_tokens.mean()), 1),
    }
    return path, said


def _runs(asked: Asked, file: str) -> tuple[list[Run], dict[str, str]]:
    """What to run, in order; and what cannot be, with the reason."""
    n, seed = asked.sizes.w_requests, asked.seed
    w: Words = {"file": file, "requests": n, "seed": seed}
    one_round: list[Run] = []
    absent: dict[str, str] = {}
    if "workload_w" in asked.only:
        one_round.append(Run("workload_w", "w", w | {"recorded": True}))
        one_round.append(Run("workload_w.without_recorder", "w", w | {"recorded": False}))
    for name in PEERS:
        if name not in asked.only:
            continue
        if version(PEERS[name]) is None:
            absent[name] = missing(PEERS[name])
        else:
            one_round += _peer_runs(name, {"file": file, "requests": n})
    return one_round * asked.sizes.rounds + _fleet_runs(asked), absent


def _peer_runs(name: str, words: Words) -> list[Run]:
    if name == "sched_sim":
        return [Run(name, name, words)]
    return [
        Run(name, name, words | {"block_tokens": 16}),
        Run(f"{name}.block_512", name, words | {"block_tokens": 512}),
    ]


def _fleet_runs(asked: Asked) -> list[Run]:
    runs = []
    for key, (gpus, models) in asked.fleets.items():
        requests = asked.sizes.requests_per_gpu * gpus
        words: Words = {"gpus": gpus, "models": models, "seed": asked.seed}
        words |= {"requests": requests, "span_s": asked.sizes.span_s}
        largest = gpus == max(gpus for gpus, _ in asked.fleets.values())
        if "fleet_sizes" in asked.only and not (largest and "fleet_10k" in asked.only):
            runs.append(Run(f"fleet_sizes.{key}", "fleet", words))
        if "fleet_10k" in asked.only and largest:
            runs.append(Run(f"fleet_{key}", "fleet", words))
        if "decisions" in asked.only:
            words = words | {"requests": requests // DECISION_PART}
            runs.append(Run(f"decisions_{key}", "decisions", words))
    return runs


def _measured(runs: list[Run], profile: bool, tell: Tell) -> dict[str, list[dict[str, Any]]]:
    """The answers of each key, one a round. A peer that fails has its reason for an answer."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for done, run in enumerate(runs):
        tell(run.key.replace("_", " ").replace(".", ": "), done, len(runs))
        seen = answers.setdefault(run.key, [])
        profiled = profile and run.part in ("w", "fleet")
        try:
            seen.append(measure(run.part, run.words))
            if profiled and "cpu_shares" not in seen[0]:
                fewer = run.words | {"requests": min(run.words["requests"], PROFILED_REQUESTS)}
                seen[0]["cpu_shares"] = measure(run.part, fewer, profile=True)["cpu_shares"]
        except PartError as error:
            if run.part not in PEERS:
                raise
            seen.append({"missing": str(error)})
    tell("", len(runs), len(runs))
    return answers


def _combined(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of the first round, the most memory of any, and the rate over all."""
    facts = dict(rounds[0])
    if "missing" in facts:
        return {"requests_per_cpu_s": None, **facts}
    samples = [sample for each in rounds for sample in each.get("samples", ())]
    if not samples:
        return facts
    del facts["samples"]
    facts["peak_memory_mib"] = max(each.get("peak_memory_mib", 0.0) for each in rounds)
    rate: Rate = rate_of(samples)
    return msgspec.to_builtins(rate) | facts  # type: ignore[no-any-return]


def _put(results: dict[str, Any], key: str, facts: dict[str, Any]) -> None:
    """`a.b` lies within `a`."""
    outer, _, inner = key.partition(".")
    if inner:
        results.setdefault(outer, {})[inner] = facts
    else:
        results[outer] = results.get(outer, {}) | facts


def _add_ratios(results: dict[str, Any]) -> None:
    """How many times as many requests a CPU-second hotbed plays: with its recorder on."""
    ours = results.get("workload_w", {}).get("requests_per_cpu_s")
    for name, distribution in PEERS.items():
        if name not in results:
            continue
        results[name]["version"] = version(distribution)
        for facts in (results[name], results[name].get("block_512")):
            theirs = facts and facts["requests_per_cpu_s"]
            if facts is not None:
                facts["ratio"] = round(ours / theirs, 2) if ours and theirs else None
