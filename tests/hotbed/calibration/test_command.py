"""`hotbed calibrate loads` from a file of measurements to a scenario that runs on its profile."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fleet.domain import Tier
from hotbed.__main__ import app
from hotbed.calibration.command import app as calibrate
from hotbed.nodes import machines_of
from sim.calibration.predicting import predict_s
from sim.profiles import load_profile
from tests.hotbed.calibration.measured import rows, written
from tests.hotbed.small import SMALL, hotbed, small
from tests.sim.calibration.made import DRAM, SSD, samples

GIB = 1 << 30


@pytest.fixture(autouse=True)
def _own_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def loads(*words: object) -> Result:
    return CliRunner().invoke(calibrate, ["loads", *map(str, words)])


def test_the_command_is_found_and_its_help_has_an_example() -> None:
    assert "calibrate" in CliRunner().invoke(app, ["--help"]).stdout
    shown = CliRunner().invoke(app, ["calibrate", "loads", "--help"]).stdout
    assert "hotbed calibrate loads loads.json" in shown.replace("│", "")


def test_a_profile_lands_in_the_data_folder_and_its_table_names_every_cell(tmp_path: Path) -> None:
    result = loads(written(tmp_path))
    assert result.exit_code == 0, result.stderr
    path = tmp_path / "data/hotbed/profiles/cpu-ampere-one-2026-11-22.json"
    assert str(path) in result.stdout
    record = load_profile(path).calibration
    assert record is not None
    for cell in record.cells:
        assert cell.checkpoint in result.stdout
    assert result.stdout.count("held out") == 1 + sum(cell.held_out for cell in record.cells)
    assert "fit: " in result.stdout
    assert "at the 95th percentile" in result.stdout
    assert "note: not measured, as in cpu and assumed: remote" in result.stdout


def test_json_has_the_errors_and_where_the_files_are(tmp_path: Path) -> None:
    out, plot = tmp_path / "mine.json", tmp_path / "fit.png"
    result = loads(written(tmp_path), "--out", out, "--plot", plot, "--json")
    shown = json.loads(result.stdout)
    assert (shown["profile"], shown["plot"]) == (str(out), str(plot))
    assert shown["errors"]["held_out"]["mean"] < 0.05
    assert shown["loads"]["ssd"]["base_s"] > 0
    assert shown["calibration"]["measurements"] == "loads.json"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_scenario_runs_on_the_written_profile(tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    assert loads(written(tmp_path), "--out", out).exit_code == 0
    scenario = small(**{"fleet[0].profile": str(out), "fleet[0].gpus": "1"})
    [profile] = machines_of(scenario.fleet).profiles.values()
    assert profile == load_profile(out)
    text = SMALL.replace("osdi24-a40, count: 2, gpus: 1", f"{out}, count: 2, gpu_memory: 40GB")
    path = tmp_path / "scenario.yaml"
    path.write_text(text.replace("13.3GB", "1GB").replace("25.7GB", "2GB"))
    result = hotbed("simulate", path, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["summary"]["requests"]["arrived"] > 0


def test_a_simulated_load_takes_what_the_table_says_and_what_was_measured(tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    loads(written(tmp_path), "--out", out)
    profile = load_profile(out)
    assert profile.load_base_s(Tier.SSD) > 0
    for hop in (DRAM, SSD):
        found = predict_s(profile, hop.name, 2 * GIB)
        assert found == pytest.approx(hop.seconds(2 * GIB, 1), rel=0.05)


def test_what_is_held_out_can_be_said(tmp_path: Path) -> None:
    file, out = written(tmp_path), tmp_path / "mine.json"
    loads(file, "--out", out, "--hold-out", "m4096")
    record = load_profile(out).calibration
    assert record is not None
    assert {cell.checkpoint for cell in record.cells if cell.held_out} == {"m4096"}
    result = loads(file, "--hold-out", "m5")
    assert result.exit_code == 2
    assert "hold-out is 'm5'; allowed are" in result.stderr


def refused(result: Result, message: str) -> None:
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_bad_input_is_refused_in_one_line(tmp_path: Path) -> None:
    file = written(tmp_path)
    refused(loads(tmp_path / "no.json"), "no.json: No such file")
    refused(loads(file, "--base", "h101"), "profile is 'h101'; allowed are")
    refused(loads(file, "--base", "h100"), "--base is h100, a profile of H100; the loads went to")
    refused(loads(file, "--loader", "runai"), "loader is 'runai'; the measurements have hotbed")
    refused(loads(file, "--out", tmp_path / "x.yaml"), "a profile's file ends in .json")
    refused(loads(file, "--rounds", 3), "--dir and --rounds are for measuring")
    refused(loads(file, "--plot", tmp_path / "x.docx"), "--plot is")
    assert list(tmp_path.glob("data/**/*.json")) == []
    file.write_text("{}")
    refused(loads(file), "schema is None; expected 'hotbed-loads/1'")


def test_loads_onto_a_gpu_take_its_profile_as_the_base(tmp_path: Path) -> None:
    taken = [replace(row, device="cuda:0") for row in rows(*samples(DRAM, rounds=3))]
    out = tmp_path / "mine.json"
    assert loads(written(tmp_path, *taken), "--out", out).exit_code == 0
    profile = load_profile(out)
    assert (profile.kind, profile.machine.dram_bytes.value) == ("H100", 24 << 30)
    assert profile.engine.flops.assumed
