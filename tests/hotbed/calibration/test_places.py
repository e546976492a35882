"""Where profiles are written, and that they are whole and readable there."""

from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from hotbed.calibration.places import data_folder, default_path, refuse_endings, write_profile
from sim.calibration.calibrating import calibrate
from sim.calibration.samples import CalibrationError
from sim.profiles import Profile, ProfileError, load_profile
from tests.sim.calibration.made import DRAM, samples, task


@pytest.fixture(scope="module")
def fitted() -> Profile:
    return calibrate(task(*samples(DRAM, rounds=3)))


def test_the_data_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "hotbed" / "profiles"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local" / "share" / "hotbed" / "profiles"


def test_a_file_is_named_after_kind_machine_and_day(
    fitted: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    path = default_path(fitted, "AMD EPYC 9R14 (2)", "2026-11-22T10:00:00Z")
    assert path.name == "cpu-amd-epyc-9r14-2-2026-11-22.json"


def test_no_default_leads_into_the_package(
    fitted: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Path(str(files("sim"))) / "profiles"
    monkeypatch.setenv("XDG_DATA_HOME", str(inside))
    with pytest.raises(CalibrationError, match="change only by commit; name the file with --out"):
        default_path(fitted, "x", "2026-11-22")


def test_what_is_written_reads_back_and_says_nothing_idle(fitted: Profile, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mine.json"
    write_profile(fitted, path)
    assert load_profile(path) == fitted
    assert '"reason": ""' not in path.read_text()
    assert [left.name for left in path.parent.iterdir()] == ["mine.json"]


def test_a_profile_that_cannot_be_read_is_not_left_behind(fitted: Profile, tmp_path: Path) -> None:
    broken = msgspec.structs.replace(fitted, kind="")
    with pytest.raises(ProfileError, match="kind"):
        write_profile(broken, tmp_path / "mine.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CalibrationError, match=r"--out is .*mine.txt; .* ends in .json"):
        refuse_endings(tmp_path / "mine.txt", None)
    with pytest.raises(CalibrationError, match=r"--plot is .*; its ending is one of .png"):
        refuse_endings(None, tmp_path / "fit.txt")
