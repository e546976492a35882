"""The requests that a scenario names: found, drawn, cut and scaled."""

from pathlib import Path

import pytest

from fleet.scenario import ScenarioError, parse
from hotbed.workloads import DATA_VARIABLE, found, input_files, requests_of
from tests.hotbed.small import SMALL, small, trace_file
from tests.traces.tenants import length_columns, parquet, rate_columns

HERE = Path()


def traced(folder: Path, **fields: object) -> str:
    more = "".join(f", {name}: {value}" for name, value in fields.items())
    at = SMALL.index("workload:"), SMALL.index("policy:")
    trace = trace_file(folder)
    return SMALL[: at[0]] + f"workload: {{trace: {trace.name}{more}}}\n" + SMALL[at[1] :]


def test_a_recipe_is_drawn_over_the_scenarios_models_by_name() -> None:
    requests = requests_of(small(), HERE, 1)
    assert set(requests.models()) <= {"opt-00", "opt-01", "solo"}
    assert {name.rpartition("-lora-")[0] for name in requests.adapters()} <= set(requests.models())
    assert "solo" in requests.models()


def test_the_seed_draws_the_requests() -> None:
    first, same, other = (requests_of(small(), HERE, seed) for seed in (1, 1, 2))
    assert first.frame.equals(same.frame)
    assert not first.frame.equals(other.frame)


def test_a_trace_is_found_beside_the_scenario_or_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = trace_file(tmp_path)
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    assert found(trace.name, tmp_path, "workload.trace") == trace
    with pytest.raises(ScenarioError, match=rf"{DATA_VARIABLE} is not set"):
        found(trace.name, tmp_path / "elsewhere", "workload.trace")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert found(trace.name, tmp_path / "elsewhere", "workload.trace") == trace


def test_a_trace_is_cut_scaled_and_limited_in_that_order(tmp_path: Path) -> None:
    text = traced(tmp_path, start="2s", duration="5s", compress=5, limit=3)
    requests = requests_of(parse(text, "s"), tmp_path, 0)
    # From 2 s on one comes every half second, five times as fast.
    assert requests.arrivals_s.tolist() == [0.0, 0.1, 0.2]


def test_nothing_left_is_refused(tmp_path: Path) -> None:
    text = traced(tmp_path, start="1h")
    with pytest.raises(ScenarioError, match="no request is left"):
        requests_of(parse(text, "s"), tmp_path, 0)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("workload.synth", "possion", "workload.synth is 'possion'; did you mean 'poisson'?"),
        ("workload.params.rate", "1", "workload.params: unknown field 'rate'; did you mean"),
        ("workload.params.seed", "1", "workload.params: unknown field 'seed'"),
        ("workload.params.rate_rps", "-1", "rate_rps: -1.0 is not allowed"),
        ("workload.params.rate_rps", "fast", "workload.params.rate_rps: Expected `float`"),
        ("workload.params.adapters.share", "7", "workload.params.adapters: adapters.share: 7"),
        ("workload.params.lengths", "novels", "lengths: 'novels' is not allowed"),
        ("workload.functions", "minutes.csv", "workload.functions is 'minutes.csv'; no such file"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_by_its_field(path: str, value: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - two kinds, told by what they say
        requests_of(small(**{path: value}), HERE, 1)
    assert says in str(refused.value)


def test_a_recipe_needs_models_that_are_listed() -> None:
    models = "{from_trace: {templates: {a: {weights: 1GB}}}}"
    with pytest.raises(ScenarioError, match=r"models\.from_trace needs workload\.trace"):
        requests_of(small(models=models), HERE, 1)


def test_the_files_that_are_read_are_known_by_their_content(tmp_path: Path) -> None:
    scenario = parse(traced(tmp_path), "s")
    before = input_files(scenario, tmp_path)
    assert list(before) == ["workload.trace"]
    trace_file(tmp_path, requests=5)
    assert input_files(scenario, tmp_path) != before
    assert input_files(small(), tmp_path) == {}


def test_clients_are_files_of_the_workload(tmp_path: Path) -> None:
    (tmp_path / "rates.parquet").write_bytes(parquet(**rate_columns()).data)
    (tmp_path / "lengths.parquet").write_bytes(parquet(**length_columns()).data)
    changes = {
        "workload": "{synth: servegen, clients: rates.parquet, params: {span_s: 1800, rate_rps: 1}}"
    }
    scenario = parse(SMALL, "small.yaml", changes)
    requests = requests_of(scenario, tmp_path, 1)
    assert set(requests.models()) <= {"opt-00", "opt-01", "solo"}
    assert requests.tenants() == ("big/client-000", "big/client-007", "small/client-000")
    both = parse(SMALL, "s", changes | {"workload.client_lengths": "lengths.parquet"})
    assert set(input_files(both, tmp_path)) == {"workload.clients", "workload.client_lengths"}
    one = parse(SMALL, "s", changes | {
        "workload.client_lengths": "lengths.parquet", "workload.params.sources": "[big]",
        "workload.params.clients": "1",
    })  # fmt: skip
    assert requests_of(one, tmp_path, 1).frame["prompt_tokens"].max() <= 80
    with pytest.raises(ScenarioError, match="client_lengths is given without clients"):
        parse(SMALL, "s", {"workload.client_lengths": "lengths.parquet"})
