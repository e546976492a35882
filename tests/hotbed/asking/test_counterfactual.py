"""`hotbed rerun --policy`: the same requests in the same world under another policy."""

import json
from pathlib import Path
from typing import Any

import pytest

from hotbed.asking.recorded import recorded
from hotbed.asking.resimulation import workload_of
from tests.hotbed.small import SMALL, hotbed, refused, written

FAULTS = "faults: {engine_crash_per_instance_hour: 40, slow_load_probability: 0.3}\n"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with crashes and slow loads, in which every request ends."""
    folder = tmp_path_factory.mktemp("counterfactual")
    path = folder / "run.jsonl.zst"
    scenario = written(folder, SMALL + FAULTS)
    assert hotbed("simulate", scenario, "--journal", path).exit_code == 0
    return path


def counterfactual(journal: Path, *words: str) -> dict[str, Any]:
    result = hotbed("rerun", journal, *words, "--json")
    assert result.exit_code == 0, result.output
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def test_the_base_run_again_is_the_journal(journal: Path) -> None:
    said = counterfactual(journal, "--policy", "serverless")
    with recorded(journal, "reading") as (_, entries):
        events = sum(1 for _ in entries)
    assert said["check"] == {"same": True, "events": events, "line": None, "at": None,
                             "ended": False}  # fmt: skip
    assert (said["base"], said["other"]) == ("serverlessllm", "serverless")
    assert said["policies"][1]["placement"]["name"] == "random"


def test_the_other_side_is_a_simulation_of_the_same_scenario(journal: Path) -> None:
    """What `simulate` says of the other policy is what the counterfactual says of it."""
    other = journal.parent / "other.jsonl"
    scenario = journal.parent / "small.yaml"
    given = ("--policy", "keep_alive", "--json", "--journal", other)
    summary = json.loads(hotbed("simulate", scenario, *given).stdout)["summary"]
    said = counterfactual(journal, "--policy", "keep_alive")
    assert not [note for note in said["notes"] if "never finished" in note]
    by_name = {change["name"]: change for change in said["comparison"]["changes"]}
    assert by_name["cold requests"]["other"] == pytest.approx(summary["cold"]["ratio"])
    gpu = next(cost for cost in said["comparison"]["costs"] if cost["unit"] == "GPU-s")
    assert gpu["other"] == pytest.approx(summary["cost"]["gpu_s_total"])


def test_one_field_of_the_recorded_policy_can_be_changed(journal: Path) -> None:
    said = counterfactual(journal, "--set", "policy.keep_alive={name: fixed, keep_alive_s: 90}")
    before, after = said["policies"]
    assert after["keep_alive"] == {"name": "fixed", "keep_alive_s": 90.0, **{
        key: value for key, value in after["keep_alive"].items()
        if key not in ("name", "keep_alive_s")}}  # fmt: skip
    assert {key: before[key] for key in before if key != "keep_alive"} == {
        key: after[key] for key in before if key != "keep_alive"
    }
    assert said["check"]["same"] is True


def test_a_policy_beside_itself_changes_nothing(journal: Path) -> None:
    said = counterfactual(journal, "--policy", "serverlessllm", "--seeds", "2")
    assert said["seeds"] == [3, 4]
    gains = said["comparison"]["gains"]
    assert gains["same"] + gains["neither_finished"] == pytest.approx(1.0)
    assert all(change["difference"]["estimate"] == 0 for change in said["comparison"]["changes"])


def test_a_variant_a_mapping_and_a_folder_are_taken(journal: Path, tmp_path: Path) -> None:
    words = ("--policy", "bare", "--out", str(tmp_path / "out"))
    result = hotbed("rerun", journal, *words)
    assert result.exit_code == 0, result.output
    assert "the base, run again, is the journal to the byte" in result.stdout
    assert "would begin with other copies" in " ".join(result.stdout.split())
    assert json.loads((tmp_path / "out" / "counterfactual.json").read_text())["other"] == "bare"
    assert (tmp_path / "out" / "counterfactual.png").stat().st_size > 1000
    mapping = counterfactual(journal, "--policy", "{recipe: keep_alive, keep_alive_s: 5}")
    assert mapping["policies"][1]["keep_alive"]["keep_alive_s"] == 5.0


def test_requests_without_an_end_are_counted_and_said(journal: Path, tmp_path: Path) -> None:
    """A recording that stopped early, of a workload that cannot be made again.

    Those that it has not seen end have their model's mean.
    """
    with recorded(journal, "reading") as (_, entries):
        whole = workload_of(entries)
    from hotbed.journals import reading, writing

    short = tmp_path / "short.jsonl"
    with reading(journal) as lines, writing(short) as write:
        header = json.loads(next(lines))
        header["world"]["scenario"]["workload"]["params"]["rate_rps"] = 1.7
        write(json.dumps(header).encode() + b"\n")
        for _, line in zip(range(120), lines, strict=False):
            write(line)
    with recorded(short, "reading") as (_, entries):
        workload = workload_of(entries)
    assert workload.unknown > whole.unknown
    true = {one.request.id: one.output_tokens for one in whole.arrivals}
    known = [one.output_tokens == true[one.request.id] for one in workload.arrivals]
    assert sum(known) >= len(known) - workload.unknown
    assert len(known) - sum(known) > 0
    said = counterfactual(short, "--policy", "serverless")
    assert any(f"{workload.unknown} of {len(known)}" in note for note in said["notes"])
    assert said["check"]["same"] is False


def test_a_journal_without_a_world_needs_a_scenario(journal: Path, tmp_path: Path) -> None:
    from hotbed.journals import reading, writing

    bare = tmp_path / "bare.jsonl"
    with reading(journal) as lines, writing(bare) as write:
        header = json.loads(next(lines))
        header["world"] = {}
        write(json.dumps(header).encode() + b"\n")
        for line in lines:
            write(line)
    assert "--world SCENARIO" in refused("rerun", bare, "--policy", "serverless")
    scenario = journal.parent / "small.yaml"
    said = counterfactual(bare, "--policy", "serverless", "--world", str(scenario))
    assert said["check"]["same"] is True
    other = written(tmp_path, SMALL.replace("osdi24-a40", "osdi24-a5000"))
    told = refused("rerun", bare, "--policy", "serverless", "--world", other)
    assert "which the scenario's fleet does not have" in told


def test_what_cannot_be_asked_is_refused_in_one_line(journal: Path) -> None:
    assert "unknown name 'nope'" in refused("rerun", journal, "--policy", "nope")
    assert "expected policy.FIELD=VALUE" in refused("rerun", journal, "--set", "slo.ttft=3")
    field = "policy.keep_alive.fator=1"
    assert "unknown parameter 'fator'" in refused("rerun", journal, "--set", field)
    assert "belong to a counterfactual" in refused("rerun", journal, "--seeds", "3")
