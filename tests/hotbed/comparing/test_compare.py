"""`hotbed compare`: what it prints and writes, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.hotbed.small import hotbed, refused, written

SHORT = ["workload.params.span_s=20"]


def test_a_comparison_prints_a_table_and_writes_its_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--policies", "serverlessllm,static", "--seeds", "2", "--jobs", "1", "--out", str(out)]
    result = hotbed("compare", written(tmp_path), *words, "--set", SHORT[0])
    assert result.exit_code == 0, result.output
    for shown in ("serverlessllm", "static", "TTFT p99", str(out / "report.html"), "latency.png"):
        assert shown in result.stdout
    values = json.loads((out / "run.json").read_text())
    assert values["seeds"] == [3, 4]
    assert values["policies"]["static"]["scaling"] == {"name": "fixed", "replicas": 1}
    assert values["scenario"]["workload"]["params"]["span_s"] == 20
    said = json.loads(
        hotbed("compare", written(tmp_path), *words, "--set", SHORT[0], "--json").stdout
    )
    assert said["policies"] == ["serverlessllm", "static"]
    assert {row["measure"]["path"] for row in said["rows"]} >= {"latency.ttft_s.p99"}


def test_a_seed_that_draws_nothing_is_refused_and_the_others_are_kept(tmp_path: Path) -> None:
    """At two requests in a minute one seed of a few has none."""
    out = tmp_path / "out"
    few = [
        "--set",
        "workload.params.rate_rps=0.03",
        "--seeds",
        "40",
        "--jobs",
        "1",
        "--out",
        str(out),
    ]
    message = refused("compare", written(tmp_path), "--policies", "static", *few)
    assert "hotbed compare: seed " in message
    assert "none came" in message
    assert list(out.glob("runs/static/seed-*.json"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--policies", "serverlesslm"], "did you mean 'serverlessllm'"),
        (["--policies", ","], "expected names such as"),
        (["--set", "residency.ssd=all", "--set", "fleet[0].ssd=1GB"], "do not fit into"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(
    tmp_path: Path, words: list[str], says: str
) -> None:
    assert says in refused("compare", written(tmp_path), "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()
