import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hotbed.bench.command import app
from hotbed.bench.workloads import W_FILE, synthetic_w, write_mooncake


def _run(*words: str | Path) -> Result:
    variables = {"HOTBED_DATA": None, "COLUMNS": "100"}
    return CliRunner(env=variables).invoke(app, ["sim", *map(str, words)])


@pytest.fixture
def trace_dir(tmp_path: Path) -> Path:
    write_mooncake(synthetic_w(60, 3), tmp_path / W_FILE)
    return tmp_path


def test_json_goes_to_standard_output_and_progress_to_standard_error(trace_dir: Path) -> None:
    done = _run("--quick", "--json", "--only", "workload_w", "--trace-dir", trace_dir)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["workload_w"]["requests_per_cpu_s"] > 0
    assert found["trace"]["source"] == str(trace_dir / W_FILE)
    assert found["trace"]["requests"] == found["workload_w"]["requests"] == 60
    assert "[1/2] workload w" in done.stderr


def test_people_get_a_table_of_hotbed_and_its_peers(trace_dir: Path) -> None:
    words = ("--only", "workload_w", "--only", "sched_sim", "--profile")
    done = _run("--quick", *words, "--trace-dir", trace_dir)
    assert done.exit_code == 0, done.output
    for line in ("Workload W: 60 requests", "hotbed, metrics on", "sched-sim, 4 copies"):
        assert line in done.stdout
    assert "CPU time, workload W" in done.stdout


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--only", "w"), "--only 'w': allowed are workload_w, dynamo_mocker"),
        (("--trace-dir", "/nowhere"), "--trace-dir /nowhere: no moon_10000.jsonl there"),
    ],
)
def test_bad_options_are_refused_in_one_line(words: tuple[str, ...], part: str) -> None:
    done = _run(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("hotbed bench sim: ")
    assert part in line


def test_the_trace_of_the_environment_is_refused_when_it_is_damaged(tmp_path: Path) -> None:
    (tmp_path / W_FILE).write_text('{"timestamp": 1, "input_length": "many"}\n')
    done = CliRunner(env={"HOTBED_DATA": str(tmp_path)}).invoke(app, ["sim", "--only", "sched_sim"])
    assert done.exit_code == 2
    assert "input_length" in done.stderr
