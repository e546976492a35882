"""`hotbed reproduce`: its words, and one small reproduction from end to end."""

import json
from pathlib import Path

import pytest

from hotbed.comparing.sweep import perform
from hotbed.reproduce import experiment
from hotbed.reproduce.command import _conclude
from hotbed.reproduce.experiment import data_in, planned
from tests.hotbed.small import hotbed, refused


def test_a_rate_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    said = refused("reproduce", "osdi24", "--rates", "fast", "--out", str(tmp_path))
    assert said == "hotbed reproduce: --rates 'fast': expected requests a second, as 0.5,1.4"


def test_help_has_an_example() -> None:
    assert "hotbed reproduce osdi24 --seeds 3" in hotbed("reproduce", "osdi24", "--help").stdout


def test_a_part_of_it_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten minutes of the smallest models at the systems' rate, one seed."""
    monkeypatch.setattr(experiment, "SCENARIO", _brief(tmp_path))
    plan = planned(data_in(None), [0.5], [1], tmp_path)
    small = [p for p in plan if (p.where.size, p.where.data) == ("opt-6.7b", "gsm8k")]
    for job in small[0].jobs:
        assert perform(job, lambda: None)
    _conclude(small, data_in(None), tmp_path, as_json=False)
    said = capsys.readouterr().out
    assert "Published numbers beside ours" in said
    result = json.loads((tmp_path / "osdi24.json").read_text())
    assert {row["policy"] for row in result["rows"]} == {
        "serverlessllm",
        "shepherd_star",
        "serverless",
        "ray_serve",
        "ray_serve_cached",
    }
    assert set(result["estimator"]) <= {"remote", "ssd", "dram"}
    assert result["estimator"]


def _brief(folder: Path) -> Path:
    text = experiment.SCENARIO.read_text()
    path = folder / "brief.yaml"
    path.write_text(text.replace("span_s: 3600", "span_s: 600"))
    return path
