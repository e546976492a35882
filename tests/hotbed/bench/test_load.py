"""`hotbed bench load` from the command line, on the smallest model there is."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hotbed.__main__ import app
from runtime.bench.measurements import read, write
from tests.runtime.bench.load.made import ceiling, load, measured

runner = CliRunner()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    ceilings = [ceiling(0, "disk", 4.0), ceiling(2, "disk", 4.0)]
    write(measured(loads=[load(1, "hotbed", 3.0)], ceilings=ceilings), path)
    return path


def test_a_small_run_prints_json_and_keeps_every_measurement(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="loaders give torch tensors")
    out = tmp_path / "out.json"
    words = ["--size", "5m", "--only", "torch", "--rounds", "1", "--json"]
    done = runner.invoke(
        app, ["bench", "load", *words, "--dir", str(tmp_path / "files"), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert 0 < found["cold"]["peers_over_disk_ceiling"]["torch"]
    assert found["machine"]["cores"] >= 1
    assert len(read(out).loads) == 2
    assert not list((tmp_path / "files").iterdir())


def test_measurements_of_another_time_are_shown_again(rows: Path) -> None:
    done = runner.invoke(app, ["bench", "load", "--from", str(rows)])
    assert done.exit_code == 0, done.output
    assert "hotbed" in done.stdout
    assert "0.75" in done.stdout


def test_a_picture_is_drawn(rows: Path, tmp_path: Path) -> None:
    picture = tmp_path / "loads.png"
    done = runner.invoke(app, ["bench", "load", "--from", str(rows), "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_wrong_bytes_end_in_failure(tmp_path: Path) -> None:
    from dataclasses import replace

    path = tmp_path / "rows.json"
    write(measured(loads=[replace(load(1, "torch", 3.0), identical=False)]), path)
    done = runner.invoke(app, ["bench", "load", "--from", str(path)])
    assert done.exit_code == 1
    assert "wrong bytes from torch" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "7b"], "--size '7b': expected one of 5m, 64m"),
        (["--rank", "0"], "--rank 0: expected a rank from 1"),
        (["--out", "/no/such/folder/out.json"], "there is no folder /no/such/folder"),
        (["--from", "/no/such/file.json"], "/no/such/file.json: No such file"),
    ],
)
def test_bad_words_are_told_in_one_line(words: list[str], said: str) -> None:
    done = runner.invoke(app, ["bench", "load", *words])
    assert done.exit_code == 2
    assert done.stderr.startswith("hotbed bench load: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
