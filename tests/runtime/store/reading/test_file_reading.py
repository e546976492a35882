"""Files of every size through a disk that fails: the right bytes, or one error that says where."""

import mmap
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.store.errors import (
    ChangedError,
    CorruptError,
    FileError,
    ReadError,
    StoreError,
    TruncatedError,
)
from runtime.store.format.hashing import digest
from runtime.store.reading.chunks import Chunk
from runtime.store.reading.disk_queue import DiskQueue
from runtime.store.reading.file_reading import FileReading
from runtime.store.reading.open_file import OpenFile
from runtime.store.reading.page_cache import cached_share, drop_cached
from tests.runtime.store.faulty_files import Faults, FaultyFiles

CHUNK = 8192
SIZES = (0, 1, 511, 512, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 513)
PATTERN = bytes((7 * number + number // 251) % 256 for number in range(1 << 16))


def _memory() -> memoryview:
    """Not closed by hand: an error's traceback keeps views of it for as long as it lives."""
    return memoryview(mmap.mmap(-1, 1 << 17))


def _pieces(memory: memoryview, offset: int, size: int) -> list[memoryview]:
    """A chunk's memory as blocks of their own: what a scattered pool gives."""
    end = offset + -(-size // 4096) * 4096
    return [memory[start : start + 4096] for start in range(offset, end, 4096)]


def _read(path: Path, size: int, faults: Faults, cold: bool) -> bytes | StoreError:
    """One reading; whatever came of it, nothing stays open and no thread stays."""
    before = threading.active_count()
    content = PATTERN[:size]

    def check(chunk: Chunk) -> None:
        found = digest("blake2b", b"".join(chunk.buffers)[: chunk.size_bytes])
        end = chunk.offset_bytes + chunk.size_bytes
        if found != digest("blake2b", content[chunk.offset_bytes : end]):
            raise CorruptError(path, "changed on its way", offset_bytes=chunk.offset_bytes)

    if cold:
        drop_cached(path)
    files = FaultyFiles(faults)
    memory = _memory()
    file = OpenFile(path, files)
    queue = DiskQueue()
    reading = FileReading(
        file,
        lambda offset, count: _pieces(memory, offset, count),
        size_bytes=size,
        chunk_bytes=CHUNK,
        check=check,
    )
    outcome: bytes | StoreError
    try:
        reading.begin(queue)
        assert reading._ended.wait(30), "hangs"
        reading.wait()
        outcome = bytes(memory[:size])
    except StoreError as error:
        outcome = error
    finally:
        queue.withdraw(reading)
        queue.close()
        file.close()
    assert not files.open_descriptors
    assert threading.active_count() == before
    return outcome


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_read_whole(tmp_path: Path, size: int, direct: bool, cold: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(PATTERN[:size])
    assert _read(path, size, Faults(refuses_direct=not direct), cold) == PATTERN[:size]


OFFSETS = st.none() | st.integers(0, 5 * CHUNK)
FAULTS = st.builds(
    Faults,
    short_reads_bytes=st.lists(st.integers(1, CHUNK), max_size=6).map(tuple),
    interrupted_reads=st.frozensets(st.integers(0, 5), max_size=3),
    read_error_at=OFFSETS,
    refuses_direct=st.booleans(),
    ends_at=OFFSETS,
    flip_at=OFFSETS,
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(size=st.sampled_from(SIZES), faults=FAULTS, cold=st.booleans())
def test_any_plan_of_faults_ends_in_the_right_bytes_or_one_error_that_says_where(
    tmp_path: Path, size: int, faults: Faults, cold: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(PATTERN[:size])
    outcome = _read(path, size, faults, cold)
    if isinstance(outcome, bytes):
        assert outcome == PATTERN[:size]
    else:
        assert isinstance(outcome, FileError)
        assert outcome.path == path
        assert outcome.offset_bytes is not None
        assert 0 <= outcome.offset_bytes <= size


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (Faults(read_error_at=4096), ReadError),
        (Faults(ends_at=5000), TruncatedError),
        (Faults(flip_at=CHUNK + 1), CorruptError),
    ],
)
def test_each_fault_has_an_error_of_its_own(
    tmp_path: Path, faults: Faults, kind: type[StoreError]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(PATTERN)
    assert type(_read(path, len(PATTERN), faults, cold=True)) is kind


def test_a_file_written_to_during_its_reading_is_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PATTERN)
    files = FaultyFiles()
    memory = _memory()
    with DiskQueue() as queue:
        file = OpenFile(path, files)
        path.write_bytes(PATTERN + b"more")
        reading = FileReading(
            file, lambda at, count: _pieces(memory, at, count), size_bytes=len(PATTERN)
        )
        reading.begin(queue)
        with pytest.raises(ChangedError, match=str(path)):
            reading.wait()
        queue.withdraw(reading)
        file.close()


def test_a_dropped_file_is_not_cached_and_a_read_one_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PATTERN)
    if drop_cached(path) is None:
        pytest.skip("this kernel does not say what is cached")
    with path.open("rb") as file:
        assert cached_share(file.fileno()) == 0
        file.read()
        assert cached_share(file.fileno()) == 1
