"""Files from a real server: in pieces, resumed, checked, and what is said when they do not come."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.store.errors import CancelledError, NoSpaceError, StoreError, UnsupportedError
from runtime.store.format.hashing import DEFAULT_HASH, digest
from runtime.store.memory.pool import Pool
from runtime.store.memory.regions import Region
from runtime.store.remote.errors import RemoteChangedError, RemoteError, RemoteMissingError
from runtime.store.remote.fetching import Fetch, Fetched, fetch, into
from runtime.store.remote.journal import Checks, read_journal
from runtime.store.remote.retrying import Patience
from runtime.store.remote.sources import opened
from tests.runtime.store.remote.web import Site

CHUNK = 1 << 16
DATA = random.Random(1).randbytes(10 * CHUNK + 77)
ROOT = Path(__file__).resolve().parents[4]


def how(tries: int = 3, timeout_s: float = 20, in_flight: int = 3) -> Fetch:
    patience = Patience(timeout_s=timeout_s, tries=tries, pause_s=0, slowest_bytes_per_s=1e9)
    return Fetch(patience, in_flight, CHUNK)


def checks(data: bytes = DATA) -> Checks:
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    return Checks(DEFAULT_HASH, CHUNK, tuple(digest(DEFAULT_HASH, piece) for piece in pieces))


def get(
    url: str,
    folder: Path,
    asked: Fetch | None = None,
    known: Checks | None = None,
    sink: Callable[[int, memoryview], None] | None = None,
) -> Fetched:
    asked = asked or how()
    with opened(url, asked.patience) as remote:
        return fetch(remote.file(), folder / "file.bin", asked, checks=known, sink=sink)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def url(site: Site) -> str:
    site.files["/file.bin"] = DATA
    return f"{site.url}/file.bin"


def test_a_file_comes_whole_in_pieces_and_nothing_else_is_left(
    site: Site, url: str, tmp_path: Path
) -> None:
    assert get(url, tmp_path) == Fetched(len(DATA), 0)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert left(tmp_path) == ["file.bin"]
    starts = sorted(
        int(str(one).split("=")[1].split("-")[0]) for one in site.ranges_of("/file.bin")
    )
    assert starts == list(range(0, len(DATA), CHUNK))


@pytest.mark.parametrize("data", [b"", b"x", DATA[:CHUNK]], ids=["empty", "one byte", "one chunk"])
def test_sizes_at_the_edges(site: Site, url: str, data: bytes, tmp_path: Path) -> None:
    site.files["/file.bin"] = data
    assert get(url, tmp_path) == Fetched(len(data), 0)
    assert (tmp_path / "file.bin").read_bytes() == data


def test_several_requests_are_in_flight_and_never_more_than_told(
    site: Site, url: str, tmp_path: Path
) -> None:
    together = threading.Barrier(4)
    waiting = iter(range(4))

    def meet(path: str, wanted: str | None) -> None:
        if wanted != "bytes=0-0" and next(waiting, None) is not None:
            together.wait(20)

    site.before = meet
    assert get(url, tmp_path, how(in_flight=4)).read_bytes == len(DATA)


def test_the_bytes_reach_the_host_pool_as_they_reach_the_disk(url: str, tmp_path: Path) -> None:
    region = Region.create(4 << 20)
    try:
        pool = Pool(region)
        holding = pool.reserve("model", len(DATA))
        get(url, tmp_path, sink=into(holding))
        pool.commit(holding)
        assert b"".join(map(bytes, holding.buffers(0, len(DATA)))) == DATA
        assert (tmp_path / "file.bin").read_bytes() == DATA
    finally:
        region.close()


def test_connections_that_break_off_are_tried_again(site: Site, url: str, tmp_path: Path) -> None:
    site.cuts = [100, 0, CHUNK - 1, 5]
    assert get(url, tmp_path, how(tries=6)).read_bytes == len(DATA)
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_busy_servers_are_asked_again(site: Site, url: str, tmp_path: Path) -> None:
    site.statuses = [503, 429, 500]
    get(url, tmp_path, how(tries=6))
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_server_that_stays_busy_is_given_up(site: Site, url: str, tmp_path: Path) -> None:
    site.statuses = [503] * 50
    with pytest.raises(RemoteError, match=r"file\.bin: the server says 503 .*\(3 tries\)$"):
        get(url, tmp_path)
    assert len(site.asked) == 3


def test_what_is_not_there_is_said_at_once(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RemoteMissingError, match=r"/none\.bin: the server says 404") as caught:
        get(f"{site.url}/none.bin?key=secret", tmp_path)
    assert "secret" not in str(caught.value)
    assert len(site.asked) == 1
    assert left(tmp_path) == []


def test_a_silent_server_is_no_hang(site: Site, url: str, tmp_path: Path) -> None:
    site.silent = True
    with pytest.raises(RemoteError, match=r"no answer in time \(2 tries\)"):
        get(url, tmp_path, how(tries=2, timeout_s=0.05))


def test_nobody_there_is_said_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http:// with aiohttp")
    with pytest.raises(RemoteError, match=r"broke off: .*127\.0\.0\.1.*") as caught:
        get("http://127.0.0.1:1/file.bin", tmp_path)
    assert "\n" not in str(caught.value)


def test_answers_of_another_length_than_asked_are_refused(
    site: Site, url: str, tmp_path: Path
) -> None:
    site.short_by = 1
    with pytest.raises(RemoteError, match=rf"{CHUNK - 1} bytes came at byte \d+, {CHUNK} were"):
        get(url, tmp_path)


def test_a_fetch_that_failed_asks_only_for_what_is_missing(
    site: Site, url: str, tmp_path: Path
) -> None:
    site.cuts = [CHUNK] * 6 + [7] * 1000  # a cut at CHUNK loses nothing
    with pytest.raises(RemoteError, match="broke off"):
        get(url, tmp_path, how(tries=2))
    _, chunks = read_journal(tmp_path / ".file.bin.part.journal")
    assert 0 < len(chunks) < 11
    site.cuts, site.asked = [], []
    seen: dict[int, bytes] = {}
    found = get(url, tmp_path, sink=lambda at, data: seen.update({at: bytes(data)}))
    assert found.kept_bytes == sum(len(DATA[n * CHUNK : (n + 1) * CHUNK]) for n in chunks)
    assert found.read_bytes + found.kept_bytes == len(DATA)
    assert len(site.ranges_of("/file.bin")) == 11 - len(chunks)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert b"".join(seen[at] for at in sorted(seen)) == DATA
    assert left(tmp_path) == ["file.bin"]


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.runtime.store.remote.test_fetching import get, how
get({url!r}, Path({folder!r}), how(in_flight=1))
"""


def test_a_fetch_that_was_killed_goes_on(site: Site, url: str, tmp_path: Path) -> None:
    there, release = threading.Event(), threading.Event()
    count = iter(range(100))

    def stop_at_the_fifth(path: str, wanted: str | None) -> None:
        if wanted != "bytes=0-0" and next(count) == 4:
            there.set()
            release.wait(30)

    site.before = stop_at_the_fifth
    script = KILLED.format(root=str(ROOT), url=url, folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        assert there.wait(30)
        os.kill(child.pid, signal.SIGKILL)
    release.set()
    site.before = lambda path, wanted: None
    site.asked = []
    assert get(url, tmp_path) == Fetched(len(DATA) - 4 * CHUNK, 4 * CHUNK)
    assert len(site.ranges_of("/file.bin")) == 7
    assert (tmp_path / "file.bin").read_bytes() == DATA


@contextmanager
def broken_off(site: Site, url: str, folder: Path) -> Iterator[None]:
    """A fetch that got at least its first chunk and no end."""
    site.cuts = [CHUNK] + [3] * 1000
    with pytest.raises(RemoteError):
        get(url, folder, how(tries=1, in_flight=1))
    site.cuts, site.asked = [], []
    yield


def test_a_file_that_changed_before_the_resume_is_noticed(
    site: Site, url: str, tmp_path: Path
) -> None:
    with broken_off(site, url, tmp_path):
        site.files["/file.bin"] = DATA[::-1]
    with pytest.raises(RemoteChangedError, match=r"changed since its fetch began \(.*removed"):
        get(url, tmp_path)
    assert left(tmp_path) == []
    get(url, tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == DATA[::-1]


def test_a_file_of_another_size_is_noticed_without_versions(
    site: Site, url: str, tmp_path: Path
) -> None:
    site.versions = False
    with broken_off(site, url, tmp_path):
        site.files["/file.bin"] = DATA + b"more"
    with pytest.raises(RemoteChangedError, match=f"{len(DATA)} -> {len(DATA) + 4} bytes"):
        get(url, tmp_path)


def test_a_file_that_changes_while_it_comes_is_noticed(
    site: Site, url: str, tmp_path: Path
) -> None:
    def change(path: str, wanted: str | None) -> None:
        if wanted != "bytes=0-0":
            site.files["/file.bin"] = DATA[::-1]

    site.before = change
    with pytest.raises(RemoteChangedError, match="changed while it was read"):
        get(url, tmp_path)


def test_without_versions_or_checksums_nothing_is_resumed(
    site: Site, url: str, tmp_path: Path
) -> None:
    site.versions = False
    with broken_off(site, url, tmp_path):
        pass
    assert get(url, tmp_path) == Fetched(len(DATA), 0)


def test_with_checksums_a_fetch_is_resumed_without_versions(
    site: Site, url: str, tmp_path: Path
) -> None:
    site.versions = False
    site.cuts = [CHUNK, CHUNK] + [3] * 1000
    with pytest.raises(RemoteError):
        get(url, tmp_path, how(tries=1, in_flight=1), checks())
    site.cuts = []
    assert get(url, tmp_path, known=checks()).kept_bytes == 2 * CHUNK
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_chunk_that_rotted_on_the_disk_is_fetched_again(
    site: Site, url: str, tmp_path: Path
) -> None:
    with broken_off(site, url, tmp_path):
        pass
    with (tmp_path / "file.bin.part").open("r+b") as part:
        part.seek(10)
        part.write(b"rot")
    assert get(url, tmp_path).kept_bytes == 0
    assert (tmp_path / "file.bin").read_bytes() == DATA


@pytest.mark.parametrize("text", ["", "{", "[]\n", '{"url": 1}\n', "\x00\x01\n7 x\n"])
def test_a_journal_that_is_none_is_begun_anew(
    site: Site, url: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / "file.bin.part").write_bytes(b"?" * len(DATA))
    (tmp_path / ".file.bin.part.journal").write_text(text)
    assert get(url, tmp_path) == Fetched(len(DATA), 0)
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_bit_that_flipped_on_the_way_is_asked_for_again(
    site: Site, url: str, tmp_path: Path
) -> None:
    site.flip = [3 * CHUNK + 5]
    get(url, tmp_path, known=checks())
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert site.flip == []


def test_bytes_that_stay_wrong_are_refused_by_place(site: Site, url: str, tmp_path: Path) -> None:
    other = bytearray(DATA)
    other[3 * CHUNK + 5] ^= 1
    site.files["/file.bin"] = bytes(other)
    with pytest.raises(RemoteError, match=rf"at byte {3 * CHUNK} is not what the index says"):
        get(url, tmp_path, known=checks())
    assert not (tmp_path / "file.bin").exists()


def test_a_file_longer_than_its_index_is_refused(site: Site, url: str, tmp_path: Path) -> None:
    site.files["/file.bin"] = DATA + bytes(CHUNK)
    with pytest.raises(RemoteError, match="not as many as the index says"):
        get(url, tmp_path, known=checks())


@pytest.mark.parametrize("lengths", [True, False])
def test_a_server_without_ranges_is_read_in_one_stream(
    site: Site, url: str, lengths: bool, tmp_path: Path
) -> None:
    site.ranges, site.lengths = False, lengths
    seen: dict[int, bytes] = {}
    get(url, tmp_path, known=checks(), sink=lambda at, data: seen.update({at: bytes(data)}))
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert b"".join(seen[at] for at in sorted(seen)) == DATA
    assert site.ranges_of("/file.bin") == [None]
    assert left(tmp_path) == ["file.bin"]


def test_a_stream_that_breaks_off_begins_again(site: Site, url: str, tmp_path: Path) -> None:
    site.ranges = False
    site.cuts = [100_000, 3, 200_000]  # the first is the look's
    came: list[int] = []
    told = Fetch(how(tries=4).patience, 3, CHUNK, came.append)
    get(url, tmp_path, told)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    assert sum(came) == len(DATA)


def test_progress_adds_up_to_the_file(url: str, tmp_path: Path) -> None:
    came: list[int] = []
    get(url, tmp_path, Fetch(how().patience, 3, CHUNK, came.append))
    assert sum(came) == len(DATA)
    assert len(came) == 11


def test_a_fetch_told_to_stop_stops_and_what_came_is_kept(
    site: Site, url: str, tmp_path: Path
) -> None:
    asked = how(in_flight=1)
    count = iter(range(100))

    def stop(path: str, wanted: str | None) -> None:
        if wanted != "bytes=0-0" and next(count) == 3:
            asked.patience.stop.set()

    site.before = stop
    with pytest.raises(CancelledError, match="told to stop"):
        get(url, tmp_path, asked)
    site.before = lambda path, wanted: None
    assert get(url, tmp_path).kept_bytes >= 3 * CHUNK


def test_cancelling_ends_a_request_that_nobody_answers(
    site: Site, url: str, tmp_path: Path
) -> None:
    asked = how(timeout_s=600)
    with opened(url, asked.patience) as remote:
        file = remote.file()
        site.silent = True
        site.before = lambda path, wanted: remote.cancel()
        with pytest.raises(CancelledError):
            fetch(file, tmp_path / "file.bin", asked)


def test_a_sink_that_fails_fails_the_fetch(url: str, tmp_path: Path) -> None:
    def refuse(offset: int, data: memoryview) -> None:
        raise StoreError("no room")

    with pytest.raises(StoreError, match="no room"):
        get(url, tmp_path, sink=refuse)


def test_a_full_disk_is_told_before_anything_is_asked(
    site: Site, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.statvfs(tmp_path)
    small = os.statvfs_result((*found[:3], 0, 0, *found[5:10]))
    monkeypatch.setattr(os, "statvfs", lambda path: small)
    with pytest.raises(NoSpaceError, match=r"needs [\d,]+ bytes, 0 are free"):
        get(url, tmp_path)
    assert site.ranges_of("/file.bin") == []


def test_a_file_of_this_machine_is_fetched_by_its_address(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file.bin").write_bytes(DATA)
    assert get(f"file://{tmp_path}/source/file.bin", tmp_path).read_bytes == len(DATA)
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_memory_is_a_place_too(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/hotbed-test/file.bin", DATA)
    try:
        assert get("memory://hotbed-test/file.bin", tmp_path).read_bytes == len(DATA)
    finally:
        memory.rm("/hotbed-test", recursive=True)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    with pytest.raises(RemoteMissingError, match="there is no such file"):
        get("memory://hotbed-test/file.bin", tmp_path)


def test_an_unknown_scheme_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"^nonsense://x/y: .*nonsense"):
        get("nonsense://x/y", tmp_path)
