"""A data file: chunks with the checksums of what is on the disk, on disks that refuse much."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.store.errors import NoSpaceError, WriteError
from runtime.store.files import Disk
from runtime.store.format.data_file import DataFile, named
from runtime.store.format.hashing import DEFAULT_HASH, digest
from tests.runtime.store.format.faulty_disk import FaultyDisk

CHUNK_BYTES = 8192


def _write(path: Path, pieces: dict[int, bytes], size: int, files: Disk) -> tuple[str, ...]:
    with DataFile(path, size, chunk_bytes=CHUNK_BYTES, hash_name=DEFAULT_HASH, files=files) as file:
        for offset, data in pieces.items():
            file.put(offset, memoryview(data))
        return file.finish()


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.tuples(st.integers(0, 9000), st.binary(max_size=9000)), max_size=6))
def test_gaps_are_zeros_and_every_chunk_has_its_checksum(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, bytes]]
) -> None:
    wanted, pieces = bytearray(), {}
    for gap, data in parts:
        wanted += bytes(gap)
        if data:
            pieces[len(wanted)] = data
        wanted += data
    wanted += bytes(-len(wanted) % 4096)
    path = tmp_path_factory.mktemp("data") / "data-0.bin"
    checksums = _write(path, pieces, len(wanted), Disk())
    assert path.read_bytes() == wanted
    assert checksums == tuple(
        digest(DEFAULT_HASH, bytes(wanted[at : at + CHUNK_BYTES]))
        for at in range(0, len(wanted), CHUNK_BYTES)
    )


class _NoDirect(Disk):
    """A file system that makes the file, then refuses to open it for direct writes."""

    def create(self, path: Path, *, direct: bool) -> int:
        descriptor = super().create(path, direct=False)
        if direct:
            os.close(descriptor)
            raise OSError(errno.EINVAL, "Invalid argument")
        return descriptor


class _LateNoDirect(Disk):
    """A file system that opens for direct writes, and refuses the writes."""

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset_bytes: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return super().pwrite(descriptor, data, offset_bytes)


class _Full(Disk):
    """A disk that takes nothing and does not say why."""

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset_bytes: int) -> int:
        return 0


@pytest.mark.parametrize("disk", [_NoDirect(), _LateNoDirect(), FaultyDisk(None, 1000)])
def test_a_disk_without_direct_writes_gets_the_same_bytes(tmp_path: Path, disk: Disk) -> None:
    data = os.urandom(40_960)
    _write(tmp_path / "one", {0: data}, 40_960, disk)
    assert (tmp_path / "one").read_bytes() == data


def test_a_disk_that_writes_nothing_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"at byte 0: nothing was written"):
        _write(tmp_path / "one", {0: bytes(4096)}, 4096, _Full())


def test_a_failed_chunk_ends_the_work_before_the_file_does(tmp_path: Path) -> None:
    disk = FaultyDisk(2, OSError(errno.EIO, "Input/output error"))
    pieces = {number * CHUNK_BYTES: bytes(CHUNK_BYTES) for number in range(64)}
    with pytest.raises(WriteError, match="Input/output error"):
        _write(tmp_path / "one", pieces, 64 * CHUNK_BYTES, disk)
    assert disk.changes < 64


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, NoSpaceError), (errno.EDQUOT, NoSpaceError), (errno.EIO, WriteError)],
)
def test_what_the_system_refuses_is_said_of_the_file(
    tmp_path: Path, code: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="one"):
        with named(tmp_path / "one"):
            raise OSError(code, os.strerror(code))
