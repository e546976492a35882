"""Changes to a scenario's text by path."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario_text import ScenarioError, change, dotted, parsed, read, unknown_name
from tests.fleet.test_scenario import SMALL


def changed(**paths: str) -> dict[str, Any]:
    raw = read(SMALL, "small.yaml")
    change(raw, paths)
    return raw


def test_a_field_is_set_by_its_path_and_its_value_is_yaml() -> None:
    raw = changed(**{"fleet[0].count": "5", "slo.ttft": "1s", "models[1].weights": "2GB"})
    assert (raw["fleet"][0]["count"], raw["slo"]["ttft"]) == (5, "1s")
    assert raw["models"][1]["weights"] == "2GB"


def test_a_mapping_on_the_way_is_made() -> None:
    assert changed(**{"residency.ssd": "none"})["residency"] == {"ssd": "none"}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("fleet[7].count", "there is no fleet[7] to set"),
        ("fleet.count", "there is no fleet.count to set"),
        ("name.first", "there is no name.first to set"),
        ("slo..ttft", "is no field: expected a path such as slo.ttft"),
        ("[0]", "is no field"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, says: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        changed(**{path: "1"})
    assert says in str(refused.value)


def test_a_value_that_was_set_is_not_blamed_on_a_line_of_the_file() -> None:
    from fleet.scenario import parse

    with pytest.raises(ScenarioError, match=r"small\.yaml as set: slo\.ttft is 'soon'"):
        parse(SMALL, "small.yaml", {"slo.ttft": "soon"})


@given(st.lists(st.one_of(st.sampled_from(["a", "b-1", "max_age"]), st.integers(0, 9)), max_size=4))
def test_a_path_is_read_as_it_is_written(steps: list[str | int]) -> None:
    path = ("fleet", *steps)
    assert parsed(dotted(path)) == path


def test_a_near_miss_comes_before_the_list() -> None:
    assert unknown_name("polcy", ["slo", "policy"]) == (
        "did you mean 'policy'? allowed are policy, slo"
    )
