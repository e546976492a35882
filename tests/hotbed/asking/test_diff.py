"""`hotbed diff`: the same, or where and by how much two journals part."""

import json
from pathlib import Path

import pytest

from tests.hotbed.small import hotbed, refused, written


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One scenario under two policies."""
    folder = tmp_path_factory.mktemp("diff")
    paths = folder / "ours.jsonl.zst", folder / "theirs.jsonl"
    for path, policy in zip(paths, ("serverlessllm", "serverless"), strict=True):
        given = ("--policy", policy, "--journal", path)
        assert hotbed("simulate", written(folder), *given).exit_code == 0
    return paths


def test_a_journal_is_the_same_as_itself(journals: tuple[Path, Path]) -> None:
    result = hotbed("diff", journals[0], journals[0])
    assert (result.exit_code, result.stdout.strip()) == (0, "the same, byte for byte")


def test_two_policies_differ_in_header_commands_and_requests(journals: tuple[Path, Path]) -> None:
    result = hotbed("diff", *journals, "--json", "--movers", "3")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["same"] is False
    paths = {field["path"] for field in said["header"]}
    assert "policy.placement.name" in paths
    assert not any(path.startswith("setup") for path in paths)
    pairs = said["pairs"]
    kept = ("better", "worse", "same", "gained", "lost", "neither")
    assert sum(pairs[name] for name in kept) == pairs["requests"]
    assert len(pairs["movers"]) <= 3
    arrived = next(one for one in said["events"] if one["kind"] == "RequestArrived")
    assert arrived["left"] == arrived["right"] == pairs["requests"]


def test_the_first_difference_is_that_of_the_lines(journals: tuple[Path, Path]) -> None:
    folder = journals[1].parent
    lines = journals[1].read_bytes().splitlines(keepends=True)
    changed = next(i for i, line in enumerate(lines) if i and b'"Dispatch"' in line)
    lines[changed] = lines[changed].replace(b'"Dispatch"', b'"DetachAdapter","adapter":0', 1)
    (folder / "changed.jsonl").write_bytes(b"".join(lines))
    result = hotbed("diff", journals[1], folder / "changed.jsonl", "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["header"]) == (1, [])
    assert (said["parting"]["line"], said["parting"]["what"]) == (changed + 1, "commands")
    shown = hotbed("diff", journals[1], folder / "changed.jsonl").stdout
    assert f"first difference in line {changed + 1}" in shown


def test_a_journal_that_stops_early_is_a_difference(journals: tuple[Path, Path]) -> None:
    lines = journals[1].read_bytes().splitlines(keepends=True)
    short = journals[1].parent / "short.jsonl"
    short.write_bytes(b"".join(lines[:-3]))
    result = hotbed("diff", journals[1], short)
    assert result.exit_code == 1
    assert "one of them ends" in result.stdout


def test_what_is_no_journal_is_refused(journals: tuple[Path, Path], tmp_path: Path) -> None:
    assert "No such file" in refused("diff", journals[0], tmp_path / "none.jsonl")
    garbage = tmp_path / "garbage.jsonl"
    garbage.write_text("{}\n")
    assert "is no journal header" in refused("diff", garbage, journals[0])
