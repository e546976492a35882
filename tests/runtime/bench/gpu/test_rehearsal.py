"""`make gpu` from end to end on a CPU: it goes on where it was left, and its profile is one."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the measurement loads with torch")

from runtime.bench.gpu.__main__ import main
from runtime.bench.gpu.scales import REHEARSAL
from runtime.bench.measurements import read
from sim.profiles import load_profile

REHEARSE = ["--device", "cpu", "--scale", "rehearsal", "--out"]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a rehearsal that was cut off after its first stage, and taken up again."""
    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    assert main([*REHEARSE, str(path)]) == 0
    whole = json.loads(path.read_text())
    left = dict(list(whole["stages"].items())[:1])
    path.write_text(json.dumps({**whole, "stages": left}))
    assert main([*REHEARSE, str(path)]) == 0
    assert json.loads(path.read_text())["stages"]["link"] == left["link"]
    return path


def test_every_stage_gave_a_result_and_no_file_is_left(record: Path) -> None:
    stages = json.loads(record.read_text())["stages"]
    assert all("result" in stage for stage in stages.values()), stages
    assert len(stages) == 2 + 3 * len(REHEARSAL.shapes)
    assert {one.name for one in record.parent.iterdir()} == {
        "gpu.json",
        "gpu.loads.json",
        "gpu.profile.json",
    }


def test_the_loads_are_the_bytes_that_were_written(record: Path) -> None:
    found = read(record.with_suffix(".loads.json"))
    assert found.missing == {}
    assert all(row.identical for row in found.loads)
    kinds = {(row.kind, row.hop) for row in found.loads}
    assert kinds == {(kind, hop) for kind in ("base", "adapter") for hop in ("ssd", "dram")}
    tiny = {row.bytes for row in found.loads if row.kind == "base"}
    assert tiny == {REHEARSAL.shapes[0].weight_bytes}


def test_the_profile_is_one_and_says_what_was_measured(record: Path) -> None:
    profile = load_profile(record.with_suffix(".profile.json"))
    assert profile.measured is not None
    assert profile.measured.command == "python -m runtime.bench.gpu --device cpu --scale rehearsal"
    assert profile.links.pcie_bytes_per_s.source.startswith("measured: ")
    assert profile.loads.dram is not None
    assert 0 < profile.loads.dram.efficiency <= 1
    assert [shape.shape for shape in profile.shapes][-1] == "tiny@torch"


def test_a_machine_without_a_gpu_is_told_so_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert main(["--out", str(tmp_path / "gpu.json")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("make gpu: --device cuda: torch ")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_record_of_another_device_is_refused(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = record.read_bytes()
    assert main(["--device", "cpu", "--scale", "full", "--out", str(record)]) == 2
    assert "scale 'rehearsal'" in capsys.readouterr().err
    assert record.read_bytes() == before
