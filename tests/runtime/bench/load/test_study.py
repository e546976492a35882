"""A small benchmark runs from the files to the rows."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="loaders give torch tensors")

from runtime.bench.load.checkpoints import BASES, adapter
from runtime.bench.load.pairs import paired_loads
from runtime.bench.load.study import Study, StudyAsked
from runtime.bench.measurements import from_text, to_text
from runtime.loaders.formats import LoaderError

SMALL = (adapter(2, BASES["5m"].shape),)


def test_every_load_has_its_ceilings_and_its_bits(tmp_path: Path) -> None:
    study = Study(StudyAsked(tmp_path, SMALL, rounds=1, seed=0, only=("torch",)))
    told: list[tuple[int, str]] = []
    found = study.run(lambda done, where: told.append((done, where)))
    assert study.total == 2
    assert told[-1] == (2, "")
    assert sorted(row.hop for row in found.loads) == ["page_cache", "ssd"]
    assert all(row.identical for row in found.loads)
    assert all(one.ratio is not None for one in paired_loads(found))
    for row in found.loads:
        if row.cached_before is not None:
            assert (row.cached_before < 0.01) == (row.hop == "ssd")
    assert {row.what for row in found.ceilings} == {"disk", "page_cache"}
    assert from_text(to_text(found)) == found
    assert not list(tmp_path.iterdir())


def test_what_was_measured_before_an_interruption_is_kept(tmp_path: Path) -> None:
    study = Study(StudyAsked(tmp_path, SMALL, rounds=5, seed=0, only=("torch",)))

    def interrupt(done: int, where: str) -> None:
        if done == 1 and where:
            raise KeyboardInterrupt

    found = study.run(interrupt)
    assert found.missing == {"the rest": "Ctrl-C"}
    assert len(found.loads) == 1
    assert not list(tmp_path.iterdir())


def test_a_loader_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match=r"--only gguf: expected one of .*safetensors"):
        Study(StudyAsked(tmp_path, SMALL, rounds=1, seed=0, only=("gguf",)))
