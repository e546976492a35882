"""`hotbed rerun`: the same commands again, or where they first differ."""

import json
from pathlib import Path

import pytest

from hotbed.journals import reading
from tests.hotbed.small import hotbed, refused, written


def recorded(folder: Path, ending: str = ".jsonl") -> Path:
    path = folder / f"run{ending}"
    assert hotbed("simulate", written(folder), "--journal", path).exit_code == 0
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_a_journal_gives_the_same_commands_again(tmp_path: Path, ending: str) -> None:
    path = recorded(tmp_path, ending)
    with reading(path) as lines:
        events = len(list(lines)) - 1
    result = hotbed("rerun", path)
    assert (result.exit_code, result.stdout) == (0, f"same commands, {events:,} events\n")


def test_a_changed_command_is_shown_with_its_line(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    changed = next(i for i, line in enumerate(lines) if i and '"Dispatch"' in line)
    lines[changed] = lines[changed].replace('"Dispatch"', '"Preempt","keep":"tokens"', 1)
    path.write_text("".join(lines))
    result = hotbed("rerun", path)
    assert result.exit_code == 1
    assert f"line {changed + 1}:" in result.stdout
    assert "Preempt" in result.stdout
    said = json.loads(hotbed("rerun", path, "--json").stdout)
    assert (said["same"], said["difference"]["line"]) == (False, changed + 1)


def test_another_policy_in_the_header_gives_other_commands(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    header, rest = path.read_bytes().split(b"\n", 1)
    raw = json.loads(header)
    raw["policy"]["keep_alive"] = {"name": "fixed", "keep_alive_s": 0.0}
    path.write_bytes(json.dumps(raw).encode() + b"\n" + rest)
    assert hotbed("rerun", path).exit_code == 1


def test_a_journal_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused("rerun", tmp_path / "none.jsonl")
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    assert "is empty" in refused("rerun", empty)
    path = recorded(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "is no journal entry" in refused("rerun", path)
