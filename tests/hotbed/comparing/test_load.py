"""A workload at another load: twice the rate, by its recipe or by its clock."""

from pathlib import Path

import pytest

from hotbed.comparing.load import drawn_rate_rps, in_words, scaled
from hotbed.workloads import requests_of
from tests.hotbed.small import small, trace_file


def test_a_synthetic_workload_is_drawn_at_a_multiple_of_its_rate() -> None:
    twice = scaled(small().workload, 2.0)
    assert drawn_rate_rps(twice) == 2.0
    assert twice.params["span_s"] == 60
    assert twice.compress == 1.0
    assert "drawn at another rate" in in_words(twice)


def test_a_recipes_own_rate_counts_where_the_scenario_gives_none() -> None:
    workload = small(**{"workload.synth": "s-lora", "workload.params": "{}"}).workload
    assert drawn_rate_rps(workload) == 2.0
    assert scaled(workload, 3.0).params == {"rate_rps": 6.0}


def test_load_one_changes_nothing() -> None:
    workload = small().workload
    assert scaled(workload, 1.0) is workload


def test_a_recorded_trace_brings_the_same_requests_in_less_time(tmp_path: Path) -> None:
    source = {"trace": str(trace_file(tmp_path)), "synth": "null", "params": "{}"}
    scenario = small(
        **{f"workload.{name}": value for name, value in source.items()},
        **{"models": "{from_trace: {templates: {a: {weights: 1GB}}}}", "slo.models": "{}"},
    )
    thrice = scenario.model_copy(update={"workload": scaled(scenario.workload, 3.0)})
    assert drawn_rate_rps(scenario.workload) is None
    usual, dense = (requests_of(own, tmp_path, 1).frame for own in (scenario, thrice))
    assert len(dense) == len(usual)
    assert dense["arrival_us"].max() == pytest.approx(usual["arrival_us"].max() / 3, abs=1)
    assert "compressed" in in_words(thrice.workload)
