"""Writing: what is written comes back, and a disk that fails leaves all or nothing."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.store.errors import NoSpaceError, StoreError, WriteError
from runtime.store.files import Disk
from runtime.store.format.index import ALIGN_BYTES, SMALL_ALIGN_BYTES, Quantised
from runtime.store.format.parsing import read_index
from runtime.store.format.sources import Extent, ExtentTensor, Source
from runtime.store.format.verifying import verify
from runtime.store.format.writing import write_checkpoint
from tests.runtime.store.format import made
from tests.runtime.store.format.faulty_disk import CHUNK_BYTES, FaultyDisk, source
from tests.runtime.store.format.made import reader


@settings(max_examples=60, deadline=None)
@given(made_source=made.sources(), chunk=st.sampled_from([4096, 8192, 1 << 20]))
def test_what_is_written_is_read_back_bit_for_bit(made_source: Source, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "a"
        index = write_checkpoint(made_source, target, chunk_bytes=chunk)
        assert read_index(target) == index
        pairs = [
            (number, extent, tensor)
            for number, extents in enumerate(made_source.partitions)
            for extent in extents
            for tensor in extent.tensors
        ]
        assert len(pairs) == len(index.tensors)
        for (number, extent, tensor), entry in zip(pairs, index.tensors, strict=True):
            assert (entry.name, entry.partition) == (tensor.name, number)
            assert (entry.dtype, entry.shape, entry.stride) == (
                tensor.dtype,
                tensor.shape,
                tensor.stride,
            )
            assert made.stored(target, index, entry) == made.wanted(extent, tensor)
        assert verify(target, deep=True).faults == ()


@settings(max_examples=40, deadline=None)
@given(made_source=made.sources())
def test_tensors_of_one_storage_stay_in_it_and_others_stay_apart(made_source: Source) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = write_checkpoint(made_source, Path(folder) / "a")
    entries = iter(index.tensors)
    for extents in made_source.partitions:
        end = 0
        for extent in extents:
            starts = {next(entries).offset_bytes - one.offset_bytes for one in extent.tensors}
            assert len(starts) <= 1, "one storage has one place"
            for start in starts:
                assert start >= end
                align = ALIGN_BYTES if extent.size_bytes >= ALIGN_BYTES else SMALL_ALIGN_BYTES
                assert start % align == 0
                end = start + extent.size_bytes


def test_a_tied_tensor_is_stored_once(tmp_path: Path) -> None:
    data = os.urandom(8192)
    names = ("embed", "head")
    tied = tuple(ExtentTensor(name, "bfloat16", (64, 64), (64, 1)) for name in names)
    index = write_checkpoint(Source([[Extent(8192, tied, reader(data))]]), tmp_path / "a")
    assert index.weight_bytes == 8192
    assert len({entry.offset_bytes for entry in index.tensors}) == 1
    assert len({entry.values for entry in index.tensors}) == 1


def test_a_quantised_tensor_keeps_how_it_is_quantised(tmp_path: Path) -> None:
    scheme = Quantised("per_tensor_affine", scale=0.1, zero_point=-3)
    tensor = ExtentTensor("q", "qint8", (4,), (1,), quantised=scheme)
    write_checkpoint(Source([[Extent(4, (tensor,), reader(b"abcd"))]]), tmp_path / "a")
    assert read_index(tmp_path / "a").tensors[0].quantised == scheme


def test_carried_files_travel_byte_for_byte_into_their_folders(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_bytes(b"{}\r\n")
    carrying = Source([[]], carried=[("config.json", config), ("extra/deep/one.json", config)])
    write_checkpoint(carrying, tmp_path / "a")
    assert (tmp_path / "a" / "extra" / "deep" / "one.json").read_bytes() == b"{}\r\n"
    assert verify(tmp_path / "a", deep=True).faults == ()


@pytest.mark.parametrize("name", ["../out.json", "/out.json", "a//b", "index.json"])
def test_a_carried_file_cannot_leave_the_folder_or_pose_as_the_index(
    tmp_path: Path, name: str
) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    with pytest.raises(StoreError):
        write_checkpoint(Source([[]], carried=[(name, config)]), tmp_path / "in" / "a")
    assert list((tmp_path / "in").iterdir()) == []
    assert not (tmp_path / "out.json").exists()


def test_progress_ends_at_all_bytes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_checkpoint(
        source(5000, 3), tmp_path / "a", progress=lambda done, all_: told.append((done, all_))
    )
    assert told == [(5000, 5003), (5003, 5003)]


def test_a_name_that_is_taken_is_refused_and_left_alone(tmp_path: Path) -> None:
    first = write_checkpoint(source(10), tmp_path / "a")
    with pytest.raises(StoreError, match="is there already"):
        write_checkpoint(source(20), tmp_path / "a")
    assert read_index(tmp_path / "a") == first


def test_replacing_takes_nothing_but_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.tex").write_text("years")
    with pytest.raises(StoreError, match="not a checkpoint"):
        write_checkpoint(source(20), tmp_path / "a", replace=True)
    assert (tmp_path / "a" / "thesis.tex").read_text() == "years"


class _Small(Disk):
    def free_bytes(self, path: Path) -> int:
        return 1000


def test_a_disk_that_is_too_full_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError, match="1,000 are free"):
        write_checkpoint(source(2000), tmp_path / "a", files=_Small())
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_continued(tmp_path: Path) -> None:
    for most in (4096, 1000, 4097):
        disk = FaultyDisk(None, most)
        target = tmp_path / f"a{most}"
        write_checkpoint(source(30_000, 5), target, files=disk, chunk_bytes=CHUNK_BYTES)
        assert verify(target, deep=True).faults == ()


def _changes(folder: Path, *, replace: bool) -> int:
    """How many changes to the disk one write makes."""
    disk = FaultyDisk(None, WriteError(folder, ""))
    write_checkpoint(
        source(20_000, 9), folder, files=disk, replace=replace, chunk_bytes=CHUNK_BYTES
    )
    return disk.changes


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("replace", [False, True])
def test_a_failing_call_leaves_the_old_or_the_new_and_no_left_over(
    tmp_path: Path, code: int, replace: bool
) -> None:
    target = tmp_path / "a"
    old = write_checkpoint(source(10), target) if replace else None
    last = _changes(tmp_path / "count", replace=False)
    for at in range(1, last + 1):
        disk = FaultyDisk(at, OSError(code, os.strerror(code)))
        kind = WriteError if code == errno.EIO else NoSpaceError
        with pytest.raises(kind):
            write_checkpoint(
                source(20_000, 9), target, files=disk, replace=replace, chunk_bytes=CHUNK_BYTES
            )
        assert {one.name for one in tmp_path.iterdir()} <= {"a", "count"}
        if at < last:  # the last is the sync after the name was taken
            assert (read_index(target) if target.exists() else None) == old
    assert verify(target, deep=True).faults == ()


@pytest.mark.parametrize("replace", [False, True])
def test_a_real_kill_at_any_call_leaves_the_old_or_the_new_and_the_next_writer_clears_it(
    tmp_path: Path, replace: bool
) -> None:
    target = tmp_path / "a"
    old = write_checkpoint(source(10), target) if replace else None
    last = _changes(tmp_path / "count", replace=False)
    new = read_index(tmp_path / "count")
    words = [sys.executable, "-m", "tests.runtime.store.format.faulty_disk"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        for at in range(1, last + 1):
            print(target, at, replace, file=writer.stdin, flush=True)
            assert int(writer.stdout.readline()) == -signal.SIGKILL
            found = read_index(target) if target.exists() else None
            assert found == (new if at == last else old)
            assert found is None or verify(target, deep=True).faults == ()
    write_checkpoint(source(10), target, replace=True)
    assert {one.name for one in tmp_path.iterdir()} == {"a", "count"}


def test_a_writer_killed_at_any_moment_leaves_nothing_half_done(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from runtime.store.format.writing import write_checkpoint\n"
        "from tests.runtime.store.format.faulty_disk import source\n"
        "target, many = pathlib.Path(sys.argv[1]), source(*[4096] * 64)\n"
        "while True:\n"
        "    print(flush=True)\n"
        "    write_checkpoint(many, target, replace=True, chunk_bytes=4096)\n"
    )
    target = tmp_path / "a"
    for rounds in (1, 2, 5):
        words = [sys.executable, "-c", code, str(target)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            for _ in range(rounds):
                writer.stdout.readline()
            writer.kill()  # somewhere in the round that follows
        if target.exists():
            assert verify(target, deep=True).faults == ()
    write_checkpoint(source(10), target, replace=True)
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
