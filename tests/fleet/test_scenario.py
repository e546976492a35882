"""Scenarios: what a file may say, and the one line that says what is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario import ModelsFromTrace, Scenario, ScenarioError, changed, parse

SMALL = """\
name: small
fleet:
  - profile: osdi24-a40
    count: 2
    links: {remote: 10 Gbit/s}
models:
  - {name: opt, count: 3, weights: 13.3GB}
  - {name: solo, weights: 1 GiB, gpu_memory: 4GB}
workload: {synth: poisson, params: {rate_rps: 2}}
slo: {ttft: 2s, tpot: 100ms}
limits: {max_age: 5m}
"""


def refusal(text: str, **changes: str) -> str:
    with pytest.raises(ScenarioError) as refused:
        parse(text, "small.yaml", changes)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_quantities_come_out_in_bytes_and_seconds() -> None:
    scenario = parse(SMALL, "small.yaml")
    assert isinstance(scenario.models, list)
    assert [group.weights for group in scenario.models] == [13_300_000_000, 2**30]
    assert scenario.fleet[0].links.remote == 1.25e9
    assert (scenario.slo.ttft, scenario.slo.tpot) == (2.0, 0.1)
    assert scenario.limits.max_age == 300.0


def test_a_count_numbers_the_names_and_none_leaves_the_name() -> None:
    scenario = parse(SMALL, "small.yaml")
    assert isinstance(scenario.models, list)
    assert [group.names for group in scenario.models] == [("opt-00", "opt-01", "opt-02"), ("solo",)]


def test_a_policy_by_its_name_is_a_recipe() -> None:
    assert parse(SMALL + "policy: static\n", "s").policy == {"recipe": "static"}
    assert parse(SMALL + "policy: {scaling: fixed}\n", "s").policy == {"scaling": "fixed"}


def test_the_kv_cache_of_a_token_follows_from_its_dimensions() -> None:
    text = SMALL.replace("weights: 13.3GB", "weights: 13.3GB, layers: 32, kv_heads: 32")
    models = parse(text, "s").models
    assert isinstance(models, list)
    # Keys and values of 32 layers of 4,096 numbers of 2 bytes.
    assert models[0].kv_bytes == 2 * 32 * 4096 * 2
    assert models[1].kv_bytes == 0


def test_an_adapters_bytes_follow_from_its_rank_and_dimensions() -> None:
    text = SMALL + (
        "adapters: [{model: opt, ranks: [8, 64], layers: 32, dims: [[4096, 4096], [4096, 1024]]}]\n"
    )
    adapters = parse(text, "s").adapters
    assert isinstance(adapters, list)
    # Rank times both sides of each matrix, in 32 layers, at 2 bytes.
    assert adapters[0].bytes_of(8, None) == 8 * (8192 + 5120) * 32 * 2
    assert adapters[0].bytes_of(64, None) == 8 * adapters[0].bytes_of(8, None)


def test_an_adapters_size_is_that_of_the_first_rank() -> None:
    adapters = parse(SMALL + "adapters: [{model: opt, ranks: [8, 16], size: 10MB}]\n", "s").adapters
    assert isinstance(adapters, list)
    assert [adapters[0].bytes_of(rank, None) for rank in (8, 16)] == [10_000_000, 20_000_000]


def test_models_may_be_those_of_the_trace() -> None:
    listed = SMALL[SMALL.index("models:") : SMALL.index("workload:")]
    traced = "models: {from_trace: {templates: {a: {weights: 1GB}, b: {weights: 2GB}}}}\n"
    models = parse(SMALL.replace(listed, traced), "s").models
    assert isinstance(models, ModelsFromTrace)
    assert list(models.from_trace.templates) == ["a", "b"]


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("count: 2", "cuont: 2", "line 4: fleet[0]: unknown field 'cuont'; did you mean 'count'?"),
        ("slo:", "sol:", "line 10: unknown field 'sol'; did you mean 'slo'?"),
        ("count: 2", "count: many", "line 4: fleet[0].count is 'many'; it must be a whole number"),
        ("count: 2", "count: 0", "line 4: fleet[0].count is 0; it must be 1 or more"),
        ("count: 2", "count: yes", "line 4: fleet[0].count is True; it must be a whole number"),
        ("13.3GB", "-1GB", "line 7: models[0].weights is '-1GB'; it must be a size above 0"),
        ("weights: 13.3GB", "gpus: 1", "line 7: models[0].weights is missing"),
        ("gpu_memory", "gpus: 1, gpu_memory", "models[1]: gpus and gpu_memory are both given"),
        ("name: opt", "name: solo, count: 1", "no valid YAML: 'count' is written twice"),
        ("name: small\n", "", "small.yaml: name is missing"),
        ("name: small", "name: 7", "line 1: name is 7; it must be a text"),
        ("synth: poisson", "trace: x", "workload: params, functions and clients belong to synth"),
        ("synth: poisson,", "", "workload: trace and synth are missing; expected one of them"),
        ("{synth", "[{synth", "line 10: no valid YAML: expected"),
        ("tpot: 100ms", "models: {opt: {ttft: 0s}}", "slo.models.opt.ttft is '0s'; it must be a"),
        ("name: solo", "name: opt-01", "models: the name 'opt-01' is given twice"),
        ("10 Gbit/s", "fast", "fleet[0].links.remote is 'fast'; it must be a bandwidth"),
        ("max_age: 5m", "max_age: forever", "limits.max_age is 'forever'; it must be a duration"),
    ],
)
def test_a_mistake_is_one_line_with_file_line_field_and_what_is_allowed(
    was: str, becomes: str, says: str
) -> None:
    assert was in SMALL
    message = refusal(SMALL.replace(was, becomes))
    assert message.startswith("small.yaml")
    assert says in message


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("residency: {ssd: roundrobin}", "did you mean 'round_robin'? allowed are all, none"),
        ("policy: [static]", "line 12: policy is ['static']; it must be a mapping"),
        ("faults: {x: often}", "faults.x is 'often'; it must be a number"),
        ("adapters: [{model: opt}]", "adapters[0]: size and dims are missing"),
        ("adapters: [{model: opt, size: 1MB, ranks: []}]", "adapters[0].ranks"),
        ("adapters: {from_trace: {sise: 1MB}}", "unknown field 'sise'; did you mean 'size'?"),
        ("variants: {x: {polcy: static}}", "variants.x: unknown field 'polcy'; did you mean"),
        ("until: -5s", "until is '-5s'; it must be a duration above 0"),
    ],
)
def test_optional_parts_are_held_to_the_same(line: str, says: str) -> None:
    assert says in refusal(SMALL + line + "\n")


def test_a_template_that_is_assigned_must_exist() -> None:
    listed = SMALL[SMALL.index("models:") : SMALL.index("workload:")]
    traced = "models: {from_trace: {templates: {big: {weights: 1GB}}, assign: {m: bug}}}\n"
    says = "models.from_trace: assign.m is 'bug'; did you mean 'big'? allowed are big"
    assert says in refusal(SMALL.replace(listed, traced))


def test_dims_without_layers_are_refused_when_bytes_are_asked_for() -> None:
    adapters = parse(SMALL + "adapters: [{model: opt, dims: [[8, 8]]}]\n", "s").adapters
    assert isinstance(adapters, list)
    with pytest.raises(ValueError, match="layers is missing"):
        adapters[0].bytes_of(8, None)
    assert adapters[0].bytes_of(8, 2) == 8 * 16 * 2 * 2


@pytest.mark.parametrize("more", ["", "adapters: {from_trace: {size: 1MB}}\n", "policy: static\n"])
def test_a_scenario_is_the_same_after_it_was_written_out(more: str) -> None:
    scenario = parse(SMALL + more, "s")
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario


@given(st.text(max_size=60))
def test_any_text_is_a_scenario_or_refused_in_one_line(text: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(text, "any.yaml")
    assert len(str(refused.value).splitlines()) == 1


@given(st.sampled_from(SMALL.splitlines()), st.text(max_size=12))
def test_a_line_replaced_by_anything_is_fine_or_refused_in_one_line(line: str, by: str) -> None:
    said = ""
    try:
        parse(SMALL.replace(line, by), "any.yaml")
    except ScenarioError as refused:
        said = str(refused)
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize(
    "text", ["{[1]: 2}", "when: 2001-99-99", "a: =", "? {a: 1}\n: 2", "a: &a [*a]"]
)
def test_yaml_that_few_people_know_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(text, "odd.yaml")
    assert len(str(refused.value).splitlines()) == 1


def test_fields_are_changed_by_path_and_what_is_wrong_with_them_says_for_whom() -> None:
    scenario = parse(SMALL, "s")
    assert changed(scenario, {"slo.ttft": "2s"}, "cell").slo.ttft == 2.0
    assert changed(scenario, {"fleet": [{"profile": "x", "count": 3}]}, "cell").fleet[0].count == 3
    with pytest.raises(ScenarioError, match=r"^cell busy as set: slo.ttft is 'soon'; "):
        changed(scenario, {"slo.ttft": "soon"}, "cell busy")
