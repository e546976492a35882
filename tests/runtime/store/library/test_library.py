"""The folder: what it lists, where it lies by default, and what taking away takes."""

from pathlib import Path

import pytest

from runtime.store.errors import StoreError
from runtime.store.library.importing import Wanted, import_checkpoint
from runtime.store.library.library import Library, default_root
from runtime.store.library.locking import locked
from tests.runtime.store.library import made


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "store")
    source = made.put(tmp_path / "source", made.model_files())
    for name in ("tiny", "org/tiny"):
        import_checkpoint(library, Wanted(str(source), name))
    return library


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOTBED_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.setenv("HOTBED_STORE", "relative")
    with pytest.raises(StoreError, match=r"\$HOTBED_STORE is 'relative': expected an absolute"):
        default_root()
    monkeypatch.delenv("HOTBED_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_root() == tmp_path / "data/hotbed/models"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_root() == Path.home() / ".local/share/hotbed/models"


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    library = Library(tmp_path / "none")
    assert (library.names(), library.entries(), library.unfinished()) == ([], [], [])
    with pytest.raises(StoreError, match=r"no model 'x' in .*: there are none"):
        library.folder("x")


def test_a_broken_checkpoint_is_listed_with_its_fault_and_can_be_taken_away(
    library: Library,
) -> None:
    (library.root / "tiny/data-0.bin").write_bytes(b"short")
    good, bad = library.entries()
    assert (good.name, good.fault) == ("org/tiny", None)
    assert bad.fault is not None
    assert "data-0.bin at byte 5: ends here" in bad.fault
    library.remove("tiny")
    assert library.names() == ["org/tiny"]


def test_taking_away_leaves_nothing_not_even_the_folder_around(library: Library) -> None:
    library.remove("org/tiny")
    library.remove("tiny")
    assert list(library.root.iterdir()) == []


def test_an_open_file_stays_readable_when_its_model_is_taken_away(library: Library) -> None:
    with (library.root / "tiny/data-0.bin").open("rb") as file:
        library.remove("tiny")
        assert len(file.read()) == 12288


def test_unknown_names_are_refused_with_near_misses(library: Library) -> None:
    with pytest.raises(StoreError, match=r"no model 'tinny' in .*did you mean tiny or org/tiny"):
        library.remove("tinny")


def test_what_is_being_imported_is_not_taken_away(library: Library) -> None:
    with locked(library.root, "tiny"), pytest.raises(StoreError, match="importing or removing"):
        library.remove("tiny")
    assert "tiny" in library.names()


def test_what_has_come_of_a_fetch_is_taken_away_by_its_name(library: Library) -> None:
    made.put(library.staging("org/far"), {"config.json": b"{}"})
    assert [one.name for one in library.unfinished()] == ["org/far"]
    library.remove("org/far")
    assert library.unfinished() == []
    assert not (library.root / ".fetching").exists()
