"""`hotbed policies`: everything in the catalogue is listed, with what its classes say."""

import json

from hotbed.policies import entries, named
from policies.catalog import make
from policies.library import CATALOG, PARTS, RECIPES
from tests.hotbed.small import hotbed, refused


def test_every_recipe_and_policy_is_listed_with_a_sentence() -> None:
    listed = {(entry.question, entry.name) for entry in entries()}
    wanted = {("recipe", name) for name in RECIPES}
    kinds = {**CATALOG, **PARTS}
    wanted |= {(question, name) for question, known in kinds.items() for name in known}
    assert listed == wanted
    assert all(entry.summary for entry in entries())


def test_a_parameter_is_shown_with_its_default() -> None:
    (recipe,) = [entry for entry in named("keep_alive") if entry.question == "recipe"]
    assert [str(parameter) for parameter in recipe.parameters] == ["keep_alive_s=60.0"]


def test_a_policy_that_is_made_of_others_names_them() -> None:
    said = hotbed("policies", "filter_score").stdout
    assert "scorers=prefix(weight=3.0), queue(weight=2.0), kv(weight=2.0)" in said
    assert "(tuple[Scorer, ...])" in said
    assert "picker=max_score" in said


def test_parameters_are_those_that_the_catalogue_takes() -> None:
    for entry in entries():
        given = {p.name: p.default or "" for p in entry.parameters}
        simple = {
            name: json.loads(default) for name, default in given.items() if _is_number(default)
        }
        if entry.question != "recipe" and simple:
            assert make(entry.question, {"name": entry.name, **simple}) is not None


def test_the_table_and_one_policy_are_printed() -> None:
    table = hotbed("policies").stdout
    assert all(name in table for name in (*RECIPES, "earliest_ready", "keep_alive_s=60.0"))
    assert "earliest_ready" in hotbed("policies", "placement.earliest_ready").stdout


def test_json_is_the_same_list() -> None:
    said = json.loads(hotbed("policies", "--json").stdout)
    assert [entry["name"] for entry in said] == [entry.name for entry in entries()]


def test_an_unknown_name_is_refused_with_the_near_miss() -> None:
    assert "did you mean 'earliest_ready'" in refused("policies", "earliest_redy")


def _is_number(default: str) -> bool:
    return default.replace(".", "", 1).isdigit()


def test_a_policy_says_where_it_comes_from_and_a_recipe_what_it_is_made_of() -> None:
    kpa = hotbed("policies", "scaling.kpa").stdout
    assert "source: Knative" in kpa
    assert "panic_threshold=2.0  (float, > 0)" in kpa
    recipe = hotbed("policies", "recipe.serverlessllm").stdout
    assert "room             cheapest(rooms=evict_idle, migrate(by=tokens))" in recipe
    assert "does not promise: keeps_forever" in hotbed("policies", "keep_alive.forever").stdout
