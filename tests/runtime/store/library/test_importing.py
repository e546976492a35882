"""Imports: every kind of source arrives with its values; whatever fails leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.store.errors import CorruptError, NoSpaceError, StoreError, UnsupportedError
from runtime.store.files import Disk
from runtime.store.format.hashing import DEFAULT_HASH, digest
from runtime.store.format.parsing import read_index
from runtime.store.format.verifying import verify
from runtime.store.library.importing import Imported, Wanted, import_checkpoint
from runtime.store.library.library import Library
from runtime.store.library.locking import locked
from runtime.store.remote.errors import RemoteChangedError, RemoteError, RemoteMissingError
from runtime.store.remote.retrying import Patience
from tests.runtime.store.library import made
from tests.runtime.store.remote.web import Site, serving

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "store")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    pytest.importorskip("aiohttp", reason="fsspec reads http:// with aiohttp")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(Site()) as running:
        yield running


def bring(
    library: Library,
    source: Path | str,
    name: str | None = "m",
    *,
    devices: int = 1,
    replace: bool = False,
) -> Imported:
    patience = Patience(tries=2, pause_s=0, timeout_s=20)
    return import_checkpoint(
        library, Wanted(str(source), name, devices, replace), patience=patience
    )


def under(folder: Path) -> list[str]:
    """Every file and folder of a store, but for what lies within checkpoints."""
    found = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(str(path) for path in found if path.suffix not in (".bin", ".json"))


def values_of(folder: Path) -> dict[str, str]:
    return {entry.name: entry.values for entry in read_index(folder).tensors}


def true_values(shapes: dict[str, tuple[int, ...]] = made.SHAPES, seed: int = 0) -> dict[str, str]:
    return {name: digest(DEFAULT_HASH, raw) for name, raw in made.values(shapes, seed).items()}


FOLDERS: dict[str, Callable[[], dict[str, bytes]]] = {
    "whole": made.model_files,
    "serverlessllm": made.serverlessllm_files,
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_arrives_with_its_values(kind: str, library: Library, tmp_path: Path) -> None:
    source = made.put(tmp_path / "source", FOLDERS[kind]())
    done = bring(library, source, "org/m")
    assert values_of(library.root / "org/m") == true_values()
    assert verify(done.entry.folder, deep=True).faults == ()
    assert done.entry.source == str(source)
    assert done.entry.kind == "base"
    assert done.entry.tensors == 4
    assert done.entry.dtype == "float16"
    assert under(library.root) == ["org", "org/m"]


def test_shards_arrive_as_one(library: Library, tmp_path: Path) -> None:
    bring(library, made.put(tmp_path / "source", made.sharded_files()))
    assert set(values_of(library.root / "m")) == set(made.SHAPES)


def test_an_adapter_says_its_rank_and_base_model(library: Library, tmp_path: Path) -> None:
    entry = bring(library, made.put(tmp_path / "sql", made.adapter_files()), None).entry
    assert (entry.name, entry.kind, entry.rank, entry.base_model) == (
        "sql",
        "adapter",
        4,
        "meta/tiny",
    )
    assert values_of(entry.folder) == true_values(made.LORA)


def test_one_file_arrives_under_its_name(library: Library, tmp_path: Path) -> None:
    (tmp_path / "tiny.safetensors").write_bytes(made.safetensors(made.SHAPES))
    assert bring(library, tmp_path / "tiny.safetensors", None).entry.name == "tiny"
    assert values_of(library.root / "tiny") == true_values()


def test_cut_for_devices_the_digest_stays(library: Library, tmp_path: Path) -> None:
    source = made.put(tmp_path / "source", made.model_files())
    whole = bring(library, source, "whole").entry
    cut = bring(library, source, "cut", devices=2)
    again = bring(library, library.root / "whole", "cut-again", devices=2)
    assert cut.entry.partitions == again.entry.partitions == 2
    assert whole.digest == cut.entry.digest == again.entry.digest
    assert cut.same_as == ["whole"]
    with pytest.raises(UnsupportedError, match="is cut for 2 devices; convert it to safetensors"):
        bring(library, library.root / "cut", "four", devices=4)


def test_a_cut_through_a_head_is_refused(library: Library, tmp_path: Path) -> None:
    source = made.put(tmp_path / "source", made.model_files())
    with pytest.raises(StoreError, match="num_key_value_heads 2 cannot be cut for 4"):
        bring(library, source, devices=4)
    assert under(library.root) == []


def test_one_of_ours_is_copied_byte_for_byte(library: Library, tmp_path: Path) -> None:
    first = bring(library, made.put(tmp_path / "source", made.model_files()), "one")
    second = bring(library, first.entry.folder, "two")
    assert second.same_as == ["one"]
    for name in ("data-0.bin", "config.json", "tokenizer.json"):
        assert (library.root / "two" / name).read_bytes() == (
            library.root / "one" / name
        ).read_bytes()
    assert verify(second.entry.folder, deep=True).faults == ()
    assert under(library.root) == ["one", "two"]


@pytest.mark.parametrize("devices", [1, 2])
def test_one_of_ours_that_rotted_is_not_imported(
    devices: int, library: Library, tmp_path: Path
) -> None:
    bring(library, made.put(tmp_path / "source", made.model_files()), "one")
    with (library.root / "one/data-0.bin").open("r+b") as file:
        file.seek(4100)
        byte = file.read(1)
        file.seek(4100)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises((CorruptError, RemoteError), match="is not what"):
        bring(library, library.root / "one", "two", devices=devices)
    assert under(library.root) == ["one"]


def test_a_name_that_is_taken_needs_replace(library: Library, tmp_path: Path) -> None:
    bring(library, made.put(tmp_path / "one", made.model_files(1)))
    other = made.put(tmp_path / "two", made.model_files(2))
    with pytest.raises(StoreError, match="m: is there already: expected --replace, or another"):
        bring(library, other)
    assert values_of(library.root / "m") == true_values(seed=1)
    bring(library, other, replace=True)
    assert values_of(library.root / "m") == true_values(seed=2)
    assert under(library.root) == ["m"]


@pytest.mark.parametrize(
    "name", ["", "../up", "/abs", ".hidden", "a/b/c", "a//b", "a b", "-x", "ä"]
)
def test_names_that_are_not_allowed(name: str, library: Library, tmp_path: Path) -> None:
    (tmp_path / "...").mkdir()
    with pytest.raises(StoreError, match=r"name .*: expected NAME or ORG/NAME|suggests no name"):
        bring(library, tmp_path / "...", name or None)
    assert not library.root.exists()


def test_a_checkpoint_does_not_lie_in_another(library: Library, tmp_path: Path) -> None:
    source = made.put(tmp_path / "source", made.model_files())
    bring(library, source, "org/m")
    with pytest.raises(StoreError, match="org: cannot be a checkpoint's name: it holds org/m"):
        bring(library, source, "org")
    bring(library, source, "plain")
    with pytest.raises(StoreError, match="plain is a checkpoint, and cannot hold others"):
        bring(library, source, "plain/m")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no model.safetensors"),
        ({"pytorch_model.bin": b"\x80"}, "is a pickle"),
        ({"model.safetensors": b"short"}, "at least 8"),
        ({"tensor_index.json": b"{}"}, "tensor.data_0"),
        ({"index.json": b"{}"}, "not an index"),
    ],
)
def test_what_is_no_checkpoint_leaves_nothing(
    files: dict[str, bytes], said: str, library: Library, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=said):
        bring(library, made.put(tmp_path / "source", files), "org/m")
    assert under(library.root) == []


def test_a_disk_too_small_is_told_before_anything_is_written(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made.put(tmp_path / "source", made.model_files())
    ours = bring(library, source, "ours").entry.folder
    monkeypatch.setattr(Disk, "free_bytes", lambda self, path: 1234)
    for one in (source, ours):
        with pytest.raises(NoSpaceError, match=r"needs [\d,]+ bytes, 1,234 are free on its disk"):
            bring(library, one)
    assert under(library.root) == ["ours"]


def test_two_imports_of_one_name_do_not_meet(library: Library, tmp_path: Path) -> None:
    source = made.put(tmp_path / "source", made.model_files())
    with locked(library.root, "m"):
        with pytest.raises(StoreError, match="m: another process is importing or removing it"):
            bring(library, source)
        bring(library, source, "other")
    bring(library, source)


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from runtime.store.library.importing import Wanted, import_checkpoint
from runtime.store.library.library import Library
def stop(what, done, total):
    print("here", flush=True)
    sys.stdin.read()
import_checkpoint(Library(Path({store!r})), Wanted({source!r}, "m"), report=stop)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_was_killed_leaves_what_the_next_removes(
    number: int, library: Library, tmp_path: Path
) -> None:
    source = made.put(tmp_path / "source", made.model_files())
    script = KILLED.format(root=str(ROOT), store=str(library.root), source=str(source))
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"here\n"
        with pytest.raises(StoreError, match="another process is importing"):
            bring(library, source)
        os.kill(child.pid, number)
        child.wait()
    left = under(library.root)
    assert left == [] if number == signal.SIGINT else any(one.endswith(".partial") for one in left)
    bring(library, source, "other")
    assert under(library.root) in (["other"], [".locks", ".locks/m.lock", "other"])
    bring(library, source)
    assert values_of(library.root / "m") == true_values()


# From elsewhere


def publish(site: Site, files: dict[str, bytes], at: str = "/org/m") -> str:
    site.files |= {f"{at}/{name}": data for name, data in files.items()}
    return f"{site.url}{at}"


@pytest.mark.parametrize(
    "files",
    [made.model_files, made.sharded_files, made.adapter_files, made.serverlessllm_files],
)
def test_every_kind_of_folder_comes_from_an_address(
    files: Callable[[], dict[str, bytes]], site: Site, library: Library, tmp_path: Path
) -> None:
    url = publish(site, files())
    here = bring(library, made.put(tmp_path / "source", files()), "here").entry
    done = bring(library, f"{url}?key=secret", None)
    assert done.entry.name == "m"
    assert done.same_as == ["here"]
    assert done.entry.digest == here.digest
    assert done.entry.source == url
    assert done.read_bytes == sum(map(len, files().values()))
    assert under(library.root) == ["here", "m"]


def test_one_of_ours_comes_from_an_address_and_into_memory_at_once(
    site: Site, library: Library, tmp_path: Path
) -> None:
    here = bring(library, made.put(tmp_path / "source", made.model_files()), "here").entry.folder
    url = publish(site, {path.name: path.read_bytes() for path in here.iterdir()})
    memory = bytearray((here / "data-0.bin").stat().st_size)

    def sink(offset: int, data: memoryview) -> None:
        memory[offset : offset + len(data)] = data

    done = import_checkpoint(
        library,
        Wanted(url, "m"),
        sink_of=lambda name: sink if name == "data-0.bin" else None,
    )
    assert memory == (here / "data-0.bin").read_bytes()
    assert verify(done.entry.folder, deep=True).faults == ()
    assert done.same_as == ["here"]
    assert under(library.root) == ["here", "m"]
    cut = bring(library, url, "cut", devices=2).entry
    assert cut.partitions == 2
    assert cut.digest == done.entry.digest


def test_an_import_that_broke_off_goes_on_and_is_listed_meanwhile(
    site: Site, library: Library
) -> None:
    url = publish(site, made.model_files())
    weights = "/org/m/model.safetensors"
    site.before = lambda path, wanted: (
        site.cuts.append(5) if path == weights and wanted != "bytes=0-0" else None
    )
    with pytest.raises(RemoteError, match=r"model\.safetensors: .*\(2 tries\)"):
        bring(library, url)
    (waiting,) = library.unfinished()
    assert waiting.name == "m"
    assert library.names() == []
    site.before, site.cuts = (lambda path, wanted: None), []
    done = bring(library, url)
    assert done.kept_bytes == len(made.model_files()["config.json"]) + 2
    assert values_of(done.entry.folder) == true_values()
    assert under(library.root) == ["m"]


def test_another_source_under_the_name_mixes_nothing(site: Site, library: Library) -> None:
    url = publish(site, made.sharded_files())
    site.before = lambda path, wanted: (
        site.statuses.append(403) if "model-2" in path and wanted != "bytes=0-0" else None
    )
    with pytest.raises(RemoteError, match="403"):
        bring(library, url)
    site.before, site.statuses = (lambda path, wanted: None), []
    done = bring(library, publish(site, made.adapter_files(), "/other"))
    assert values_of(done.entry.folder) == true_values(made.LORA)


def test_a_source_that_changed_between_tries_is_noticed(site: Site, library: Library) -> None:
    url = publish(site, made.sharded_files(1))
    site.before = lambda path, wanted: (
        site.statuses.append(403) if "model-2" in path and wanted != "bytes=0-0" else None
    )
    with pytest.raises(RemoteError, match="403"):
        bring(library, url)
    site.before, site.statuses = (lambda path, wanted: None), []
    publish(site, made.sharded_files(2))
    with pytest.raises(RemoteChangedError, match="changed since its fetch began"):
        bring(library, url)


def test_where_there_is_no_checkpoint_it_says_what_it_looked_for(
    site: Site, library: Library
) -> None:
    with pytest.raises(RemoteMissingError, match=r"no checkpoint: neither index\.json, model"):
        bring(library, f"{site.url}/nothing")
    assert under(library.root) == []


def test_hostile_names_in_an_index_of_shards_are_refused(site: Site, library: Library) -> None:
    text = b'{"weight_map": {"a": "../../evil.safetensors"}}'
    url = publish(site, {"model.safetensors.index.json": text})
    with pytest.raises(RemoteError, match=r"shard '../../evil\.safetensors': expected"):
        bring(library, url)
    assert under(library.root) == []


def test_an_index_of_ours_that_was_changed_is_refused(site: Site, library: Library) -> None:
    url = publish(site, {"index.json": b'{"checksum":"xxh3_128:00",\n"format":1}\n'})
    with pytest.raises(RemoteError, match=r"index\.json: its checksum"):
        bring(library, url)


def test_the_disk_is_checked_before_anything_is_fetched(
    site: Site, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = publish(site, made.model_files())
    monkeypatch.setattr(Disk, "free_bytes", lambda self, path: 1234)
    with pytest.raises(NoSpaceError, match="1,234 are free"):
        bring(library, url)
    assert {wanted for _, wanted in site.asked} == {"bytes=0-0"}


def test_imports_of_many_names_at_once_do_not_disturb_one_another(
    library: Library, tmp_path: Path
) -> None:
    source = made.put(tmp_path / "source", made.model_files())
    failed: list[BaseException] = []
    begin = threading.Barrier(4)

    def one(name: str) -> None:
        begin.wait(20)
        try:
            bring(library, source, name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(f"org/m{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert library.names() == [f"org/m{number}" for number in range(4)]
