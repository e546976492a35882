"""`hotbed export`: a file that viewers open, whole or not there at all."""

import gzip
from pathlib import Path

import pytest

from hotbed.journals import reading
from tests.hotbed.small import hotbed, refused, written
from tests.traces.chrome_rules import check


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    path = folder / "run.jsonl.zst"
    assert hotbed("simulate", written(folder), "--journal", path).exit_code == 0
    return path


def test_a_trace_is_written_plain_or_packed(journal: Path, tmp_path: Path) -> None:
    plain, packed = tmp_path / "to" / "trace.json", tmp_path / "trace.json.gz"
    for path in (plain, packed):
        result = hotbed("export", journal, "--to", path)
        assert result.exit_code == 0, result.output
        assert "trace events" in result.stdout
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert len(check(plain.read_bytes())) > 500


def test_a_window_is_smaller(journal: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.json", tmp_path / "part.json"
    assert hotbed("export", journal, "--to", whole).exit_code == 0
    words = ("--from", "20s", "--until", "30")
    assert hotbed("export", journal, "--to", part, *words).exit_code == 0
    assert part.stat().st_size < whole.stat().st_size / 2
    times = [event["ts"] for event in check(part.read_bytes()) if "ts" in event]
    assert 20e6 <= min(times) < max(times) <= 30e6


def test_bad_input_leaves_no_file(journal: Path, tmp_path: Path) -> None:
    out = tmp_path / "trace.json"
    assert "must end in .json or .json.gz" in refused("export", journal, "--to", tmp_path / "t.txt")
    assert "--from 9x" in refused("export", journal, "--to", out, "--from", "9x")
    assert "after --from" in refused("export", journal, "--to", out, "--from", "9", "--until", "8")
    assert "the journal ends at" in refused("export", journal, "--to", out, "--from", "20h")
    cut = tmp_path / "cut.jsonl"
    with reading(journal) as lines:
        cut.write_bytes(b"".join(lines)[:-30])
    assert "is no journal entry" in refused("export", cut, "--to", out)
    assert list(tmp_path.glob("trace*")) == []
