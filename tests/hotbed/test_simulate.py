"""`hotbed simulate` as it is typed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.journal import decode
from tests.hotbed.small import SMALL, hotbed, refused, trace_file, written


def test_a_run_is_printed_as_tables(tmp_path: Path) -> None:
    result = hotbed("simulate", written(tmp_path))
    assert result.exit_code == 0, result.output
    for shown in ("small: serverlessllm, seed 3", "objective", "TTFT", "loads from", "held for"):
        assert shown in result.stdout


def test_json_says_what_was_run_and_what_came_of_it(tmp_path: Path) -> None:
    result = hotbed("simulate", written(tmp_path), "--policy", "bare", "--seed", "5", "--json")
    said = json.loads(result.stdout)
    assert (said["policy"], said["resolved"]["seeds"], said["partial"]) == ("bare", [5], False)
    assert said["resolved"]["policies"]["bare"]["keep_alive"]["keep_alive_s"] == 5
    requests = said["summary"]["requests"]
    assert requests.pop("arrived") == sum(requests.values()) > 0


def test_the_same_command_says_the_same(tmp_path: Path) -> None:
    path = written(tmp_path)
    first, second = (hotbed("simulate", path, "--json").stdout for _ in range(2))
    assert first == second


def test_a_field_that_is_set_and_a_trace_change_the_run(tmp_path: Path) -> None:
    trace = trace_file(tmp_path)
    text = SMALL.replace("{name: opt, count: 2,", "{name: tiny,").replace("solo", "big")
    path = written(tmp_path, text)
    said = json.loads(
        hotbed("simulate", path, "--trace", trace, "--set", "slo.ttft=9s", "--json").stdout
    )
    assert said["summary"]["requests"]["arrived"] == 20
    assert said["summary"]["objective"]["ttft_s"] == 9.0
    assert "workload.trace" in said["resolved"]["files_sha256"]


def test_a_folder_gets_a_report_plots_and_results(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = hotbed("simulate", written(tmp_path), "--out", out)
    assert result.exit_code == 0, result.output
    assert str(out / "report.html") in result.stdout
    assert json.loads((out / "results.json").read_text())["study"]["title"] == "small"
    assert (out / "plots" / "timeline_serverlessllm.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--policy", "statik"], "did you mean 'static'"),
        (["--set", "sede=1"], "unknown field 'sede'; did you mean 'seed'?"),
        (["--set", "policy={recipe: keep_alive, keep_alive_s: long}"], "policy.keep_alive_s is"),
        (["--set", "policy={placement: {name: random, most: 1}}"], "unknown parameter 'most'"),
        (["--set", "workload.synth=x"], "workload.synth is 'x'; allowed are bursty"),
        (["--trace", "missing.csv"], "missing.csv'; no such file"),
        (["--journal", "run.txt"], "its name must end in .jsonl"),
        (["--journal", "/proc/nowhere/run.jsonl"], "/proc/nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, words: list[str], says: str) -> None:
    message = refused("simulate", written(tmp_path), *words)
    assert message.startswith("hotbed simulate: ")
    assert says in message


def test_ctrl_c_prints_what_is_done_and_leaves_a_whole_journal(tmp_path: Path) -> None:
    """The journal is a pipe, so that the run is surely not over when it is interrupted."""
    pipe = tmp_path / "run.jsonl"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "hotbed", "simulate", str(written(tmp_path))]
    options = ["--json", "--journal", str(pipe), "--set", "workload.params.span_s=36000"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        with pipe.open("rb") as journal:
            head = [journal.readline() for _ in range(100)]
            process.send_signal(signal.SIGINT)
            lines = head + journal.readlines()
        assert process.stdout is not None
        said = json.loads(process.stdout.read())
    assert process.returncode == 130
    assert said["partial"] is True
    _, entries = decode(lines)
    assert len(list(entries)) == said["events"] >= 99
    assert said["summary"]["requests"]["arrived"] < 36_000
