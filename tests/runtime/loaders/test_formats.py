"""Which files of a folder a loader reads."""

from pathlib import Path

import pytest

from runtime.loaders.formats import LoaderError, files_of


def test_a_file_is_itself_and_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.safetensors", "config.json", "c.pt"):
        (tmp_path / name).touch()
    file = tmp_path / "c.pt"
    assert files_of(file, "torch") == [file]
    found = files_of(tmp_path, "safetensors")
    assert [one.name for one in found] == ["a.safetensors", "b.safetensors"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match=r"gone\.pt: there is no such file"):
        files_of(tmp_path / "gone.pt", "torch")
    with pytest.raises(LoaderError, match=r"no file of this folder ends in \.flashpack"):
        files_of(tmp_path, "flashpack")
