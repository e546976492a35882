"""Scenario files, and the ways to run them by name."""

from pathlib import Path

import pytest

from fleet.scenario import ScenarioError
from hotbed.scenarios import ANSWERS, choice, choices, load
from policies.catalog import PolicyError, resolve
from policies.library import RECIPES
from tests.hotbed.small import SMALL, written


def test_a_scenario_is_read_with_its_changes(tmp_path: Path) -> None:
    loaded = load(written(tmp_path), ["slo.ttft=1s", "seed=8"])
    assert (loaded.scenario.slo.ttft, loaded.scenario.seed) == (1.0, 8)
    assert loaded.folder == tmp_path


def test_another_trace_takes_the_place_of_a_recipe(tmp_path: Path) -> None:
    workload = load(written(tmp_path), trace=Path("x.csv")).scenario.workload
    assert workload.trace == str(Path.cwd() / "x.csv")
    assert (workload.synth, workload.params) == (None, {})


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["slo.ttft"], "--set slo.ttft: expected PATH=VALUE"),
        (["slo.tft=1s"], "slo: unknown field 'tft'; did you mean 'ttft'?"),
        (["fleet[5].count=1"], "there is no fleet[5] to set"),
    ],
)
def test_a_change_that_means_nothing_is_refused(tmp_path: Path, sets: list[str], says: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(written(tmp_path), sets)
    assert says in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"missing\.yaml cannot be read: No such file"):
        load(tmp_path / "missing.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="it is no UTF-8 text"):
        load(binary)


def test_the_scenarios_own_policy_comes_first_then_its_variants(tmp_path: Path) -> None:
    loaded = load(written(tmp_path))
    assert [one.name for one in choices(loaded, None)] == ["serverlessllm", "bare"]
    assert choice(loaded, None).resolved == resolve("serverlessllm")


def test_a_variant_brings_its_residency_and_a_recipe_does_not(tmp_path: Path) -> None:
    loaded = load(written(tmp_path))
    bare, static = choices(loaded, "bare, static,bare")
    assert bare.residency is not None
    assert bare.residency.ssd == "none"
    assert (static.name, static.residency) == ("static", None)


def test_a_policy_that_is_spelled_out_is_called_the_scenarios(tmp_path: Path) -> None:
    text = SMALL.replace(
        "policy: serverlessllm\n", "policy: {recipe: keep_alive, scaling: fixed}\n"
    )
    assert choice(load(written(tmp_path, text)), None).name == "scenario"


def test_an_unknown_policy_is_refused_with_the_near_miss(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="did you mean 'static'"):
        choice(load(written(tmp_path)), "statik")
    with pytest.raises(PolicyError, match="did you mean 'bare'"):
        choice(load(written(tmp_path)), "bear")


def test_another_packages_recipe_is_named_by_its_path(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, SMALL))
    chosen = choice(loaded, "tests.policies.own:two_each")
    assert resolve(chosen.policy)["scaling"]["name"] != resolve("serverlessllm")["scaling"]["name"]
    with pytest.raises(PolicyError, match="no_such"):
        choice(loaded, "tests.policies.own:no_such")


def test_a_single_answer_takes_its_place_in_the_scenarios_own_policy(tmp_path: Path) -> None:
    loaded = load(written(tmp_path))
    chosen = choice(loaded, "routing.power_of_two")
    assert chosen.policy == {**loaded.scenario.policy, "routing": {"name": "power_of_two"}}
    assert choice(loaded, "upkeep.prefetch_popular").resolved["upkeep"][0]["every_s"] == 30.0
    others = [c.name for c in choices(loaded, "every")]
    assert set(others) < set(ANSWERS)
    assert "placement.random" in others
    assert "placement.earliest_ready" not in others, "it is the scenario's own"
    assert set(RECIPES) <= {c.name for c in choices(loaded, "all")}
