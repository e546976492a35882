"""Downloads from a real server: whole, resumed, checked, and what is said when nothing comes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotbed.tracing.downloads import BLOCK_BYTES, Wanted, download, sha256_of
from tests.hotbed.web import Site, serving
from traces.schema import TraceError

DATA = bytes(range(256)) * 4000  # some blocks and a bit
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site({"/trace.csv": DATA})) as running:
        yield running


def fetch(site: Site, folder: Path, sha256: str | None = SHA, size: int | None = None) -> str:
    wanted = Wanted(f"{site.url}/trace.csv", size, sha256)
    return download(wanted, folder / "trace.csv", lambda have, total: None)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_nothing_else_is_left(site: Site, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    wanted = Wanted(f"{site.url}/trace.csv", len(DATA), SHA)
    found = download(wanted, tmp_path / "deep/trace.csv", lambda *at: told.append(at))
    assert found == SHA == sha256_of(tmp_path / "deep/trace.csv")
    assert left(tmp_path / "deep") == ["trace.csv"]
    assert told[-1] == (len(DATA), len(DATA))
    assert [have for have, _ in told] == sorted({have for have, _ in told})


def test_a_fetch_that_broke_off_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    site.cut_after = BLOCK_BYTES + 100
    with pytest.raises(TraceError, match=rf"broke off after .* of {len(DATA):,} bytes"):
        fetch(site, tmp_path)
    kept = (tmp_path / "trace.csv.part").stat().st_size
    assert 0 < kept <= BLOCK_BYTES + 100
    assert not (tmp_path / "trace.csv").exists()
    assert fetch(site, tmp_path) == SHA
    assert site.ranges_asked() == [None, f"bytes={kept}-"]
    assert left(tmp_path) == ["trace.csv"]


def test_a_fetch_may_break_off_many_times(site: Site, tmp_path: Path) -> None:
    for _ in range(3):
        site.cut_after = BLOCK_BYTES
        with pytest.raises(TraceError, match="broke off"):
            fetch(site, tmp_path)
    assert fetch(site, tmp_path) == SHA


def test_a_server_without_ranges_sends_it_all_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.cut_after = BLOCK_BYTES
    with pytest.raises(TraceError, match="broke off"):
        fetch(site, tmp_path)
    assert fetch(site, tmp_path) == SHA
    assert (tmp_path / "trace.csv").read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_not_patched_together(site: Site, tmp_path: Path) -> None:
    site.cut_after = BLOCK_BYTES
    with pytest.raises(TraceError, match="broke off"):
        fetch(site, tmp_path)
    site.files["/trace.csv"] = other = DATA[::-1]
    assert fetch(site, tmp_path, sha256=None) == hashlib.sha256(other).hexdigest()
    assert (tmp_path / "trace.csv").read_bytes() == other


def test_nothing_is_resumed_that_has_no_version(site: Site, tmp_path: Path) -> None:
    site.versions = False
    site.cut_after = BLOCK_BYTES
    with pytest.raises(TraceError, match="broke off"):
        fetch(site, tmp_path)
    assert fetch(site, tmp_path) == SHA
    assert site.ranges_asked() == [None, None]


def test_a_part_that_is_the_whole_is_only_checked(site: Site, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    fetch(site, whole)
    version = f'"{hash(DATA)}"'
    (tmp_path / "trace.csv.part").write_bytes(DATA)
    (tmp_path / "trace.csv.part.version").write_text(version)
    assert fetch(site, tmp_path) == SHA
    assert site.ranges_asked()[-1] == f"bytes={len(DATA)}-"


def test_a_part_longer_than_the_file_is_begun_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "trace.csv.part").write_bytes(DATA + b"more")
    (tmp_path / "trace.csv.part.version").write_text(f'"{hash(DATA)}"')
    assert fetch(site, tmp_path) == SHA
    assert site.ranges_asked()[-1] is None


def test_a_server_that_goes_on_at_another_place_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.cut_after = BLOCK_BYTES
    with pytest.raises(TraceError, match="broke off"):
        fetch(site, tmp_path)
    site.wrong_place = True
    with pytest.raises(TraceError, match="went on at another place"):
        fetch(site, tmp_path)
    assert left(tmp_path) == []


def test_another_checksum_or_size_is_not_kept_and_spoils_nothing(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "trace.csv").write_text("what was there")
    with pytest.raises(TraceError, match=rf"SHA-256 {SHA} is not that of the file: expected 00"):
        fetch(site, tmp_path, sha256="00")
    with pytest.raises(TraceError, match=rf"{len(DATA):,} bytes came: expected 7; not kept"):
        fetch(site, tmp_path, size=7)
    assert left(tmp_path) == ["trace.csv"]
    assert (tmp_path / "trace.csv").read_text() == "what was there"


def test_a_file_that_moved_is_followed(site: Site, tmp_path: Path) -> None:
    site.moved["/old.csv"] = f"{site.url}/trace.csv"
    wanted = Wanted(f"{site.url}/old.csv", None, SHA)
    assert download(wanted, tmp_path / "old.csv", lambda have, total: None) == SHA


def test_a_file_that_is_not_there_is_said_in_one_line(site: Site, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"/none\.csv: the server says 404") as caught:
        download(Wanted(f"{site.url}/none.csv"), tmp_path / "none.csv", lambda have, total: None)
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == []


def test_nobody_there_is_said_in_one_line(tmp_path: Path) -> None:
    with serving(Site()) as gone:
        pass
    with pytest.raises(TraceError, match=r"cannot be reached \(.*refused\): is this machine onl"):
        fetch(gone, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TraceError, match=r"file/trace\.csv: cannot be written"):
        fetch(site, tmp_path / "file")


def test_the_proxy_of_the_environment_is_asked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    wanted = Wanted("http://traces.example/trace.csv", None, SHA)
    assert download(wanted, tmp_path / "trace.csv", lambda have, total: None) == SHA
    assert site.asked[0][0] == "http://traces.example/trace.csv"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "trace.csv"])
def test_only_the_web_is_fetched_from(url: str) -> None:
    with pytest.raises(TraceError, match="expected http:// or https://"):
        Wanted(url)
