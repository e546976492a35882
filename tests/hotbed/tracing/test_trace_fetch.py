"""`hotbed traces fetch` against a real server."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotbed.tracing.checksums import LOCK, read_lock
from hotbed.tracing.trace_sources import SOURCES
from tests.hotbed.small import hotbed, refused
from tests.hotbed.web import Site, serving

TRACE = b"arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,3,4\n"
SHA = hashlib.sha256(TRACE).hexdigest()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Site({"/trace.csv": TRACE})) as running:
        yield running


def test_the_first_fetch_locks_a_checksum_that_later_ones_must_have(
    site: Site, tmp_path: Path
) -> None:
    url = f"{site.url}/trace.csv"
    said = json.loads(hotbed("traces", "fetch", url, "--out", tmp_path, "--json").stdout)
    assert (said["fetched"], said["sha256"], said["size_bytes"]) == (True, SHA, len(TRACE))
    assert read_lock(tmp_path)["trace.csv"].sha256 == SHA
    again = hotbed("traces", "fetch", url, "--out", tmp_path)
    assert "is there already, and is the same" in again.stdout
    assert len(site.asked) == 1
    site.files["/trace.csv"] = TRACE.replace(b"3", b"5")
    line = refused("traces", "fetch", url, "--out", tmp_path, "--force")
    assert f"is not that of the file: expected {SHA}; not kept" in line
    assert (tmp_path / "trace.csv").read_bytes() == TRACE


def test_a_file_that_was_changed_here_is_noticed(site: Site, tmp_path: Path) -> None:
    url = f"{site.url}/trace.csv"
    assert hotbed("traces", "fetch", url, "--out", tmp_path).exit_code == 0
    (tmp_path / "trace.csv").write_bytes(b"other")
    assert "--force fetches it again" in refused("traces", "fetch", url, "--out", tmp_path)
    assert hotbed("traces", "fetch", url, "--out", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "trace.csv").read_bytes() == TRACE


def test_a_file_of_nobody_knows_where_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_bytes(b"mine")
    line = refused("traces", "fetch", f"{site.url}/trace.csv", "--out", tmp_path)
    assert "is there already, and nobody knows its checksum" in line
    assert (tmp_path / "trace.csv").read_bytes() == b"mine"


def test_one_name_from_two_places_is_refused(site: Site, tmp_path: Path) -> None:
    assert hotbed("traces", "fetch", f"{site.url}/trace.csv", "--out", tmp_path).exit_code == 0
    line = refused("traces", "fetch", f"{site.url}/deep/trace.csv", "--out", tmp_path)
    assert f"came from {site.url}/trace.csv: expected another --out" in line


def test_a_checksum_may_be_given_with_a_url(site: Site, tmp_path: Path) -> None:
    url = f"{site.url}/trace.csv"
    words = ("traces", "fetch", url, "--out", tmp_path, "--sha256")
    assert "not kept" in refused(*words, "00")
    assert not (tmp_path / "trace.csv").exists()
    assert not (tmp_path / LOCK).exists()
    assert hotbed(*words, SHA).exit_code == 0


def test_what_a_lock_keeps_of_a_url_has_no_query(site: Site, tmp_path: Path) -> None:
    url = f"{site.url}/trace.csv?token=secret"
    assert hotbed("traces", "fetch", url, "--out", tmp_path).exit_code == 0
    assert site.asked[0][0] == "/trace.csv?token=secret"
    assert "secret" not in (tmp_path / LOCK).read_text()


def test_the_list_shows_every_source(tmp_path: Path) -> None:
    table = hotbed("traces", "fetch", "--list").stdout
    assert all(source.name in table for source in SOURCES)
    rows = json.loads(hotbed("traces", "fetch", "--list", "--json").stdout)
    assert [row["url"] for row in rows] == [source.url for source in SOURCES]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mooncake",), "trace 'mooncake' is not allowed (do you mean 'mooncake-"),
        (("ftp://host/file.csv",), "expected http:// or https://"),
        (("http://host/",), "expected one that ends with a file's name"),
        (("http://host/..",), "expected one that ends with a file's name"),
        (("burstgpt", "--sha256", "00"), "--sha256 belongs to a URL"),
    ],
)
def test_what_cannot_be_fetched_is_refused(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    assert message in refused("traces", "fetch", *words, "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_help_shows_an_example() -> None:
    text = " ".join(hotbed("traces", "fetch", "--help").stdout.split())
    assert "hotbed traces fetch azure-llm-2023-conv" in text
