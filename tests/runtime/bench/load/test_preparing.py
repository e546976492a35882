"""Files are made where there is room for them, and taken away by the run that made them."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the files hold torch tensors")

from runtime.bench.load.checkpoints import BASES, adapter
from runtime.bench.load.conversation import ChildError
from runtime.bench.load.manifests import Manifest, write_manifest
from runtime.bench.load.places import Place
from runtime.bench.load.preparing import missing_bytes, prepared, refuse_too_little
from runtime.store.errors import NoSpaceError
from runtime.store.files import Disk

SMALL = adapter(2, BASES["5m"].shape)


class AlmostFull(Disk):
    def free_bytes(self, path: Path) -> int:
        return 10**9


def test_too_little_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError, match=r"writes 1\.5 GB and the disk has 1\.0 GB free"):
        refuse_too_little(1_500_000_000, tmp_path, AlmostFull())
    refuse_too_little(10**9, tmp_path, AlmostFull())


def test_what_is_there_needs_no_room(tmp_path: Path) -> None:
    place = Place(tmp_path, "adapter")
    before = missing_bytes(place, SMALL, ["huggingface", "torch"], 3)
    write_manifest(place, Manifest(0, ("huggingface",), 1, {}))
    after = missing_bytes(place, SMALL, ["huggingface", "torch"], 3)
    assert before - after == pytest.approx(2 * 1.05 * SMALL.weight_bytes, abs=2)


def test_files_go_with_the_run_that_made_them_unless_they_are_to_stay(tmp_path: Path) -> None:
    said: list[str] = []
    for keep, stays in ((False, False), (True, True), (False, True)):
        with prepared(
            {SMALL: 0}, tmp_path, ["torch"], seed=0, keep=keep, say=said.append
        ) as places:
            assert places[SMALL].path("torch").stat().st_size > SMALL.weight_bytes
        assert places[SMALL].folder.exists() == stays
    assert said == ["weights", "torch", "disk", "weights", "torch", "disk", "weights", "disk"]


def test_writing_that_fails_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / SMALL.name).write_text("a file in the folder's place")
    with (
        pytest.raises(ChildError, match=r"writing .* failed: FileExistsError"),
        prepared({SMALL: 0}, tmp_path, ["torch"], seed=0, keep=False, say=lambda what: None),
    ):
        pass
