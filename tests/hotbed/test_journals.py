"""Journals on disk: the same lines back, the same bytes for the same lines."""

import gzip
from pathlib import Path

import pytest
import zstandard

from fleet.journal import JournalError
from hotbed.journals import ENDINGS, reading, writing

LINES = [b'{"a":1}\n', b'["b"]\n' * 50, b'"c"\n']


def write(path: Path, lines: list[bytes] = LINES) -> bytes:
    with writing(path) as put:
        for line in lines:
            put(line)
    return path.read_bytes()


def read(path: Path) -> bytes:
    with reading(path) as lines:
        return b"".join(lines)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_written_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run{ending}"
    write(path)
    assert read(path) == b"".join(LINES)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_is_told_by_its_content_whatever_its_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run{ending}"
    write(path)
    assert read(path.rename(tmp_path / "renamed.bin")) == b"".join(LINES)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_lines_make_the_same_bytes_under_any_name(tmp_path: Path, ending: str) -> None:
    assert write(tmp_path / f"one{ending}") == write(tmp_path / f"two{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_end_by_an_error_leaves_a_whole_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run{ending}"

    def broken_off() -> None:
        with writing(path) as put:
            put(LINES[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert read(path) == LINES[0]


def test_packing_is_what_other_tools_read(tmp_path: Path) -> None:
    assert gzip.decompress(write(tmp_path / "a.jsonl.gz")) == b"".join(LINES)
    packed = write(tmp_path / "a.jsonl.zst")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == b"".join(LINES)


@pytest.mark.parametrize("ending", [".jsonl.gz"])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run{ending}"
    path.write_bytes(write(path)[:-12])
    with pytest.raises(JournalError, match="cut off or damaged"):
        read(path)


def test_a_name_that_does_not_say_how_to_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"must end in \.jsonl, \.jsonl\.gz, \.jsonl\.zst"):
        write(tmp_path / "run.txt")
