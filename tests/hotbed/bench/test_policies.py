"""The decision benchmark: every policy is in it, and a run says what it should."""

import json

import pytest

from hotbed.bench.policies import LIMIT_US, label, policy, slow, specs
from policies.library import CATALOG, RECIPES
from tests.hotbed.small import hotbed, refused


def test_every_policy_and_recipe_is_timed_once() -> None:
    labels = [label(spec) for spec in specs()]
    assert len(labels) == len(set(labels))
    wanted = {f"{question}.{name}" for question, named in CATALOG.items() for name in named}
    assert set(labels) == wanted | {f"recipe.{name}" for name in RECIPES}


@pytest.mark.parametrize("spec", [{"recipe": "serverlessllm", "scaling": {"name": "kpa"}}])
def test_a_run_tells_arrivals_that_place_from_others_and_from_timers(
    spec: dict[str, object],
) -> None:
    row = policy(spec, requests=300, span_s=30.0, gpus=16, models=4, seed=0)
    assert row["policy"] == "scaling.kpa"
    assert row["cold"]["n"] + row["warm"]["n"] == row["requests"]
    assert row["cold"]["n"] > 0
    assert row["timer"]["n"] > 10


def test_only_answers_to_arrivals_count_as_slow() -> None:
    quick = {"n": 1, "p50_us": 1.0, "p99_us": LIMIT_US}
    late = {"n": 1, "p50_us": 1.0, "p99_us": LIMIT_US + 1}
    none = {"n": 0, "p50_us": None, "p99_us": None}
    assert slow({"cold": quick, "warm": none, "timer": late, "other": late}) == []
    assert slow({"cold": late, "warm": none, "timer": none, "other": none}) == ["cold"]


def test_the_command_prints_a_table_or_json_and_refuses_what_is_not_there() -> None:
    small = ("--gpus", "8", "--requests", "100", "--only", "routing.least_loaded")
    assert "routing.least_loaded" in hotbed("bench", "policies", *small).stdout
    (row,) = json.loads(hotbed("bench", "policies", *small, "--json").stdout)
    assert row["policy"] == "routing.least_loaded"
    assert "no such policy" in refused("bench", "policies", "--only", "routing.nonsense")
