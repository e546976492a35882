"""`hotbed explain`: a page about a request, and one line for what cannot be explained."""

import json
from pathlib import Path

import pytest

from hotbed.asking.recorded import recorded
from hotbed.journals import reading
from tests.hotbed.small import hotbed, refused, written


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    path = folder / "run.jsonl.gz"
    assert hotbed("simulate", written(folder), "--journal", path).exit_code == 0
    return path


def test_a_page_says_why_that_node_and_what_each_second_went_to(journal: Path) -> None:
    result = hotbed("explain", journal, "--slowest", "1")
    assert result.exit_code == 0, result.output
    for words in ("it waited for", "time to the first token", "what happened", "why a40-",
                  "by EarliestReady", "copy in", "believed"):  # fmt: skip
        assert words in " ".join(result.stdout.split()), words


def test_json_has_the_same_and_adds_up(journal: Path) -> None:
    said = json.loads(hotbed("explain", journal, "0", "5", "--json").stdout)
    assert [one["request"] for one in said] == [0, 5]
    for one in said:
        assert sum(one["waited_s"].values()) == pytest.approx(one["ttft_s"])
        assert one["moments"][0]["what"].startswith("arrives with")


def test_the_slowest_of_a_model_are_of_that_model(journal: Path) -> None:
    said = json.loads(
        hotbed("explain", journal, "--model", "solo", "--slowest", "3", "--json").stdout
    )
    assert {one["model"] for one in said} == {"solo"}
    times = [one["ttft_s"] for one in said]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)


def test_what_cannot_be_explained_is_refused_in_one_line(journal: Path, tmp_path: Path) -> None:
    with recorded(journal, "reading") as (_, entries):
        arrived = sum(type(entry.event).__name__ == "RequestArrived" for entry in entries)
    unknown = refused("explain", journal, "99999")
    assert f"its {arrived} requests are 0 to {arrived - 1}" in unknown
    assert "name requests by number" in refused("explain", journal)
    assert "name requests by number" in refused("explain", journal, "3", "--slowest", "2")
    assert "--model 'opt' is none of" in refused("explain", journal, "--model", "opt")
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(journal.read_bytes()[:-200])
    assert "is cut off or damaged" in refused("explain", cut, "0")


def test_a_journal_of_other_commands_is_refused_with_its_line(
    journal: Path, tmp_path: Path
) -> None:
    with reading(journal) as written_lines:
        lines = list(written_lines)
    changed = next(i for i, line in enumerate(lines) if i and b'"Dispatch"' in line)
    lines[changed] = lines[changed].replace(b'"Dispatch"', b'"Preempt","keep":"tokens"', 1)
    other = tmp_path / "other.jsonl"
    other.write_bytes(b"".join(lines))
    said = refused("explain", other, "61")
    assert f"line {changed + 1}: this version of the controller gives other commands" in said
