"""A small scenario and trace for the tests of the command line: seconds of work at most."""

from pathlib import Path

from typer.testing import CliRunner, Result

from fleet.scenario import Scenario, parse
from hotbed.__main__ import app
from traces.formats import normalised
from traces.workload import TraceMeta, Workload

SMALL = """\
name: small
description: Three models on two cards.
seed: 3
fleet:
  - {profile: osdi24-a40, count: 2, gpus: 1}
models:
  - {name: opt, count: 2, weights: 13.3GB, layers: 32, kv_heads: 32, max_adapters: 2}
  - {name: solo, weights: 25.7GB, max_sequences: 4, max_adapters: 2}
adapters: {from_trace: {ranks: [8, 16], dims: [[4096, 4096]], layers: 32}}
workload:
  synth: poisson
  params: {rate_rps: 1, span_s: 60, adapters: {share: 0.4, per_base: 3}, tenants: {count: 4}}
policy: serverlessllm
variants:
  bare: {policy: {recipe: keep_alive, keep_alive_s: 5}, residency: {ssd: none}}
slo: {ttft: 5s, tpot: 200ms, models: {solo: {ttft: 60s}}}
limits: {max_age: 120s}
"""


def small(**changes: str) -> Scenario:
    return parse(SMALL, "small.yaml", changes)


def written(folder: Path, text: str = SMALL) -> Path:
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def trace_file(folder: Path, requests: int = 20) -> Path:
    """Two bases; every third request has an adapter, every ninth two; one tenant is unnamed."""
    rows = range(requests)
    columns = {
        "request_id": rows,
        "arrival_us": [500_000 * row for row in rows],
        "model_id": ["big" if row % 2 else "tiny" for row in rows],
        "adapter_ids": [
            ("x", "y") if row % 9 == 3 else ("x",) if row % 3 == 0 else () for row in rows
        ],
        "prompt_tokens": [50] * requests,
        "output_tokens": [10 + row for row in rows],
        "tenant_id": [None if row == 1 else f"t{row % 3}" for row in rows],
    }
    path = folder / "requests.parquet"
    normalised.write(Workload.of(columns, TraceMeta(source="made")), path)
    return path


def hotbed(*words: str | Path) -> Result:
    """The command line, in this process; standard error is kept apart."""
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words: str | Path) -> str:
    """What a command says to bad input: one line, exit code 2, nothing on standard output."""
    result = hotbed(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr.strip()
